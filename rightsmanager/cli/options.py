"""Options that several commands share, and what they stand for."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from rightsmanager.environment import find_file, passphrase
from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.files import PRIVATE_MODE
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.protocol.formats.wrmheader import Version
from rightsmanager.protocol.wire import Guid, Kid
from rightsmanager.settings import DATABASE_FILE, Settings, default_settings, load
from rightsmanager.store.database import Store, open_store
from rightsmanager.store.schema import upgrade

Command = TypeVar("Command", bound=Callable[..., Any])

_VERSIONS: Final = {
    spelling: version for version in Version for spelling in (version.value[:3], version.value)
}
"""A version in full and without its zeros."""


def data_option(command: Command) -> Command:
    """Add `--data`, the data folder; it comes from the settings where it is not given."""
    return click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        callback=lambda _context, _parameter, value: value or default_settings().data,
        help="The data folder: keys, certificates and, with SQLite, the database.  [default: var]",
    )(command)


def json_option(command: Command) -> Command:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def settings_of(data: Path, **overrides: Any) -> Settings:  # noqa: ANN401 -- fields of Settings
    """Return the settings in force for a data folder."""
    return load(find_file(data), data=data, **overrides)


def key_files(data: Path) -> KeyFiles:
    """Return the keyring's files, opened with the passphrase of the environment."""
    return KeyFiles(data, passphrase())


def store_of(settings: Settings) -> Store:
    """Return the store of the settings, which is closed when the command ends."""
    store = open_store(settings.effective_database_url, settings.database_seconds)
    click.get_current_context().call_on_close(store.close)
    return store


def has_store(settings: Settings) -> bool:
    """Return whether there is a database, or at least somebody said where one is."""
    return bool(settings.database_url) or (settings.data / DATABASE_FILE).is_file()


def made_store_of(settings: Settings) -> Store:
    """Return the store of the settings with all its tables, closed when the command ends."""
    settings.data.mkdir(parents=True, exist_ok=True)
    upgrade(settings.effective_database_url)
    return store_of(settings)


def write_private(file: Path, data: bytes) -> None:
    """Write a file that was not there, readable by its owner alone; raises InternalError."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
    except FileExistsError:
        raise InternalError(f"{file} is there already, expected a new file") from None
    except OSError as error:
        raise InternalError(f"{file} cannot be written: {error.strerror}") from None


AnyGuid = TypeVar("AnyGuid", bound=Guid)


class GuidParameter(click.ParamType[AnyGuid]):
    """An id of a kind, as GUID or base64."""

    def __init__(self, kind: type[AnyGuid]) -> None:
        self._kind = kind
        self.name = kind.name

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> AnyGuid:
        """Return the id; click shows what is wrong with it."""
        if isinstance(value, self._kind):
            return value
        try:
            return self._kind.parse(str(value))
        except InvalidMessage as error:
            self.fail(error.text, param, ctx)


class KidParameter(GuidParameter[Kid]):
    """A KID as GUID or base64."""

    def __init__(self) -> None:
        super().__init__(Kid)


class VersionParameter(click.ParamType[Version]):
    """The version of a content header, in full or without its zeros."""

    name = "version"
    _spellings = click.Choice(list(_VERSIONS))

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Version:
        """Return the version; click shows which there are."""
        if isinstance(value, Version):
            return value
        return _VERSIONS[self._spellings.convert(value, param, ctx)]

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """Return the versions there are."""
        return self._spellings.get_metavar(param, ctx)
