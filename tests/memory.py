"""Files of tests in memory: SQLite and PostgreSQL wait for a disk, and copy slowly on one."""

import shutil
from pathlib import Path

_FOLDER = Path("/dev/shm")  # noqa: S108 -- those who use it make folders of their own in it
_BYTES = 2 << 30
"""Free bytes to have there, a multiple of what a run needs."""


def find_memory() -> Path | None:
    """Return a folder whose files are in memory, if it has room; programs may not run from it."""
    has_room = _FOLDER.is_dir() and shutil.disk_usage(_FOLDER).free >= _BYTES
    return _FOLDER if has_room else None
