"""Runs a command with DATABASE_URL set to a PostgreSQL server of its own, which ends with the command.

`python -m tools.with_postgres pytest -m database`
"""

import os
import subprocess
import sys

from tests.support.servers import PostgresServer


def main(command: list[str]) -> int:
    """The command's exit code."""
    if not command:
        sys.exit(__doc__)
    server = PostgresServer()
    try:
        return subprocess.run(command, env={**os.environ, "DATABASE_URL": server.url}, check=False).returncode
    except KeyboardInterrupt:
        return 130
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
