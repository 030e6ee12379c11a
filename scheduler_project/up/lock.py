"""One `up` per data folder: a lock that the kernel drops when its holder ends, however it ends."""

import fcntl
import os
from pathlib import Path
from typing import IO

from scheduler_project.up.errors import AlreadyUp, FolderNotWritable

FILE_NAME = "up.lock"


def lock_folder(folder: Path) -> IO[str]:
    """Makes and locks the data folder; keep the returned file open. Raises FolderNotWritable or AlreadyUp."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / FILE_NAME).open("a+")
    except OSError as error:
        raise FolderNotWritable(
            f"the data folder {folder} cannot be written ({error.strerror}); set SCHEDULER_DATA_DIR to one that can"
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise AlreadyUp(f"the system already runs from {folder} (pid {holder}); stop it first with Ctrl-C") from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
