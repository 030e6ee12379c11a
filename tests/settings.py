"""The project's settings for tests: own data folder, own SQLite file, a broker in memory, quick password hashing.

`DATABASE_URL` is honoured: `python -m tools.with_postgres pytest -m database` runs the same tests on PostgreSQL.
"""

import os
import tempfile
from pathlib import Path

_folder = tempfile.mkdtemp(prefix="scheduler-tests-")

for _name in [name for name in os.environ if name.startswith("SCHEDULER_")]:
    del os.environ[_name]
(Path(_folder) / "static").mkdir()  # WhiteNoise warns where it is missing
os.environ |= {
    "SCHEDULER_DATA_DIR": _folder,
    "SECRET_KEY": "a key for tests only, which is long enough to be quiet",
    "BROKER_URL": "memory://",
    "NATS_URI": "",
    "ETCD_ENDPOINTS": "",
}

from scheduler_project.settings import *  # noqa: E402, F403
from scheduler_project.settings import DATABASES  # noqa: E402

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["TEST"] = {"NAME": str(Path(_folder) / "test.sqlite3")}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
