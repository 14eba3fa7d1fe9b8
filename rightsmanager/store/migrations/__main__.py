"""Writes the next revision: `python -m rightsmanager.store.migrations NAME`.

It has what differs between `tables` and a fresh database of the newest revision. Read it before it
is committed: alembic does not see renamed columns, and moves no rows.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from alembic import command

from rightsmanager.store.database import make_engine
from rightsmanager.store.schema import FOLDER, alembic_config, newest_revision, upgrade

_VERSIONS: Final = FOLDER / "versions"


def write_revision(name: str, folder: Path = _VERSIONS) -> Path:
    """Write the revision of a name, such as `add_journal`, into a folder; return its file."""
    number = int(newest_revision().partition("_")[0]) + 1
    revision = f"{number:04}_{name}"
    with TemporaryDirectory() as temporary:
        url = f"sqlite:///{temporary}/fresh.db"
        upgrade(url)
        with make_engine(url).connect() as connection:
            config = alembic_config(connection)
            config.set_main_option("path_separator", "os")
            locations = map(str, dict.fromkeys((_VERSIONS, folder)))
            config.set_main_option("version_locations", os.pathsep.join(locations))
            command.revision(
                config,
                message=name.replace("_", " ").capitalize(),
                rev_id=revision,
                version_path=str(folder),
                autogenerate=True,
            )
    return folder / f"{revision}.py"


if __name__ == "__main__":
    sys.stdout.write(f"{write_revision(sys.argv[1])}\n")
