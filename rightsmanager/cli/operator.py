"""The operator's side of a command: a data folder, whose parts are opened when they are used."""

import time
from collections.abc import Callable
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import click

from rightsmanager.environment import find_data, find_file, passphrase
from rightsmanager.errors import InternalError
from rightsmanager.files import is_file, is_folder

if TYPE_CHECKING:
    from rightsmanager.journal.journal import Journal
    from rightsmanager.keyring import Keyring
    from rightsmanager.keyring.files import KeyFiles
    from rightsmanager.operations.content import ContentKeys
    from rightsmanager.settings import Settings
    from rightsmanager.settings_loading import Loaded
    from rightsmanager.store.database import Store

Parameters = ParamSpec("Parameters")


class Operator:
    """A data folder with its settings, keyring and store.

    Each part is imported and opened at its first use: the keyring and the store cost 0.2 s each.
    """

    def __init__(self, data: Path | None) -> None:
        self.given_data = data
        """The folder of `--data`."""

    @cached_property
    def data(self) -> Path:
        """The data folder: the option's, the environment's, or the settings'."""
        return self.given_data or find_data() or self._default_data()

    @cached_property
    def settings(self) -> "Settings":
        """The settings in force for the data folder."""
        return self.settings_with()

    @cached_property
    def files(self) -> "KeyFiles":
        """The keyring's files, opened with the passphrase of the environment."""
        from rightsmanager.keyring.files import KeyFiles  # noqa: PLC0415

        return KeyFiles(self.data, passphrase())

    @cached_property
    def keyring(self) -> "Keyring":
        """The keyring; raises InternalError if it is missing or invalid, or not the database's."""
        from rightsmanager.assembly import open_keyring, refuse_other_keyring  # noqa: PLC0415

        self.refuse_missing_data()
        keyring = open_keyring(self.settings, passphrase())
        if self.has_store:
            refuse_other_keyring(self.store, keyring)
        return keyring

    @cached_property
    def content_keys(self) -> "ContentKeys":
        """The stored and the seed's content keys."""
        from rightsmanager.assembly import content_keys  # noqa: PLC0415

        return content_keys(self.settings, self.keyring)

    @cached_property
    def store(self) -> "Store":
        """The store, which is closed when the command ends."""
        from rightsmanager.store.schema import refuse_outdated  # noqa: PLC0415

        self.refuse_missing_database()
        refuse_outdated(self.settings.effective_database_url, allow_away=False)
        return self.open_store()

    @cached_property
    def journal(self) -> "Journal":
        """The journal; raises InternalError if the data folder is missing."""
        from rightsmanager.journal.journal import open_journal  # noqa: PLC0415

        self.refuse_missing_data()
        return open_journal(self.data, self.settings.effective_database_url)

    @property
    def has_store(self) -> bool:
        """Whether there is a database, or the settings name one."""
        from rightsmanager.settings import DATABASE_FILE  # noqa: PLC0415

        return bool(self.settings.database_url) or is_file(self.data / DATABASE_FILE)

    def settings_with(self, **overrides: Any) -> "Settings":  # noqa: ANN401 -- fields of Settings
        """Return the settings, with those that options override."""
        return self.load(**overrides).settings

    def load(self, **overrides: Any) -> "Loaded":  # noqa: ANN401 -- as above
        """Read the settings again, with the origins of their values and with warnings."""
        from rightsmanager.settings_loading import load_with_origins  # noqa: PLC0415

        return load_with_origins(find_file(self.data), data=self.data, **overrides)

    def refuse_missing_data(self) -> None:
        """Raise InternalError unless the data folder exists."""
        if not is_folder(self.data):
            folder = self.data.absolute()
            raise InternalError(
                f"the data folder {folder} does not exist: name another one with --data, or make "
                f"it with rightsmanager init --data {folder}"
            )

    def refuse_missing_given_data(self) -> None:
        """Raise InternalError if `--data` names a missing folder, for commands that need none."""
        if self.given_data is not None:
            self.refuse_missing_data()

    def refuse_missing_database(self) -> None:
        """Raise InternalError if the database is a file of SQLite that does not exist."""
        self.refuse_missing_data()
        # SQLite would make it, and a look into the wrong folder would find nothing and say so.
        scheme, _, path = self.settings.effective_database_url.partition("///")
        file = Path(path.partition("?")[0])
        if scheme.startswith("sqlite") and not is_file(file):
            raise InternalError(
                f"the database {file} does not exist: name another data folder with --data, or "
                f"make it with rightsmanager init --data {self.data.absolute()}"
            )

    def _default_data(self) -> Path:
        from rightsmanager.settings_loading import default_settings  # noqa: PLC0415

        return default_settings().data

    def open_store(self) -> "Store":
        """Return the store as it is, to be closed when the command ends."""
        # Not by assembly: it knows operations and policies, which cost 0.2 s.
        from rightsmanager.store.database import open_store  # noqa: PLC0415

        store = open_store(self.settings.effective_database_url, self.settings.database_seconds)
        click.get_current_context().call_on_close(store.close)
        return store


def pass_operator(
    command: Callable[Concatenate[Operator, Parameters], None],
) -> Callable[Parameters, None]:
    """Add `--data`, and pass the command an Operator of it as its first argument."""

    @wraps(command)
    def run(*arguments: Parameters.args, **more: Parameters.kwargs) -> None:
        data = more.pop("data")
        command(Operator(data if isinstance(data, Path) else None), *arguments, **more)

    return click.option(
        "--data",
        metavar="DIR",
        type=click.Path(path_type=Path, file_okay=False),
        help="The data folder with keys and database.  [default: var]",
    )(run)


def now() -> int:
    """Return the time in Unix seconds."""
    return int(time.time())
