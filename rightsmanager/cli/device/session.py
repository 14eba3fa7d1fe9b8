"""A device as its commands work on it, and the options that name it and its server."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from rightsmanager.cli.operator import now as system_now
from rightsmanager.cli.options import ACCOUNT, add_options
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.random import system_random
from rightsmanager.device.calling import ServerClient
from rightsmanager.device.domains import DomainStore
from rightsmanager.device.http import Post, post, post_trusting
from rightsmanager.device.identity import CHAIN_FILE, ServerKeys, load_device, load_server_keys
from rightsmanager.device.journal import Journal, open_journal
from rightsmanager.device.licenses import LicenseShelf, LicenseStore
from rightsmanager.device.opening import LicenseOpener
from rightsmanager.device.revocation import load_lists
from rightsmanager.errors import InternalError
from rightsmanager.files import is_file
from rightsmanager.protocol.formats.bcert import ChainVerifier

Command = TypeVar("Command", bound=Callable[..., Any])

_POST: Final = f"{__name__}.post"
"""The key of the Post in a command's context."""


@dataclass(frozen=True, slots=True)
class DeviceSession:
    """A device in its folder, whose journal is open until the command ends."""

    folder: Path
    opening: LicenseOpener
    server: ServerKeys
    journal: Journal
    now: int
    """Unix seconds."""
    post: Post = post
    """Reaches servers."""

    @property
    def licenses(self) -> LicenseStore:
        """The stored licences."""
        return LicenseStore(self.folder)

    @property
    def shelf(self) -> LicenseShelf:
        """The stored licences, ready to be opened."""
        return LicenseShelf(self.licenses, self.opening, self.now, self.journal.first_played)

    @property
    def domains(self) -> DomainStore:
        """The joined domains."""
        return DomainStore(self.folder)

    @property
    def client(self) -> ServerClient:
        """A client of servers that uses the network and the system's randomness."""
        opening = self.shelf.with_roots()
        return ServerClient(opening, self.server, self.now, system_random, self.post)


def open_session(folder: Path) -> DeviceSession:
    """Return the device of a folder; its journal is closed when the command ends."""
    if not is_file(folder / CHAIN_FILE):
        raise InternalError(
            f"{folder} is not a device's folder: it has no {CHAIN_FILE}; make a device with "
            "rightsmanager device new"
        )
    server = load_server_keys(folder)
    opening = LicenseOpener(
        load_device(folder),
        ChainVerifier((server.root,)),
        choose_backend(),
        load_lists(folder),
        domains=DomainStore(folder).private_keys(),
    )
    journal = open_journal(folder)
    context = click.get_current_context()
    context.call_on_close(journal.close)
    return DeviceSession(
        folder, opening, server, journal, system_now(), context.meta.get(_POST, post)
    )


def _trust(context: click.Context, _parameter: click.Parameter, file: str | None) -> None:
    if file is not None:
        context.meta[_POST] = post_trusting(Path(file))


device_option: Final = click.option(
    "--device",
    "folder",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The device's folder.",
)
cafile_option: Final = click.option(
    "--cafile",
    metavar="FILE",
    expose_value=False,
    callback=_trust,
    help="PEM certificates that an https server is trusted by.",
)
url_option: Final = add_options(
    click.option("--url", required=True, help="The server's URL, with its query."), cafile_option
)
account_option: Final = click.option(
    "--account", "account_id", type=ACCOUNT, help="The account of a domain, GUID or base64."
)
custom_data_option: Final = click.option("--custom-data", help="The CustomData of the challenge.")
