"""What the commands of a device share: its folder, opened, and the options that name it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from rightsmanager.cli.options import GuidParameter
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.random import system_random
from rightsmanager.device.calling import ServerClient
from rightsmanager.device.domains import DomainStore
from rightsmanager.device.http import Post, post, post_trusting
from rightsmanager.device.identity import ServerKeys, load_device, load_server_keys
from rightsmanager.device.journal import Journal, open_journal
from rightsmanager.device.licenses import LicenseShelf, LicenseStore
from rightsmanager.device.opening import LicenseOpener
from rightsmanager.device.revocation import load_lists
from rightsmanager.protocol.formats.bcert import ChainVerifier
from rightsmanager.protocol.wire import AccountId

Command = TypeVar("Command", bound=Callable[..., Any])

_POST: Final = f"{__name__}.post"
"""Under which name a command's context knows how servers are reached."""


@dataclass(frozen=True, slots=True)
class DeviceSession:
    """A device in its folder, its journal open until the command ends."""

    folder: Path
    opening: LicenseOpener
    server: ServerKeys
    journal: Journal
    now: int
    """Unix seconds."""
    post: Post = post
    """How servers are reached."""

    @property
    def licenses(self) -> LicenseStore:
        """The licences that it keeps."""
        return LicenseStore(self.folder)

    @property
    def shelf(self) -> LicenseShelf:
        """Its licences, ready to be opened."""
        return LicenseShelf(self.licenses, self.opening, self.now, self.journal.first_played)

    @property
    def domains(self) -> DomainStore:
        """The domains that it is in."""
        return DomainStore(self.folder)

    @property
    def caller(self) -> ServerClient:
        """Asks its server, over the network and with the system's randomness."""
        opening = self.shelf.with_roots()
        return ServerClient(opening, self.server, self.now, system_random, self.post)


def player_of(folder: Path) -> DeviceSession:
    """Return the device of a folder, whose journal is closed when the command ends."""
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
        folder, opening, server, journal, int(time.time()), context.meta.get(_POST, post)
    )


def device_option(command: Command) -> Command:
    """Add `--device`, the device's folder."""
    return click.option(
        "--device",
        "folder",
        required=True,
        type=click.Path(path_type=Path, file_okay=False, exists=True),
        help="The device's folder.",
    )(command)


def url_option(command: Command) -> Command:
    """Add `--url`, the server's, and `--cafile`, which says what it may prove itself by."""
    url = click.option("--url", required=True, help="The server's URL, with whatever query.")
    cafile = click.option(
        "--cafile",
        metavar="FILE",
        expose_value=False,
        callback=_trust,
        help="Certificates, PEM, that an https server may prove itself by.",
    )
    return url(cafile(command))


def _trust(context: click.Context, _parameter: click.Parameter, file: str | None) -> None:
    if file is not None:
        context.meta[_POST] = post_trusting(Path(file))


def account_option(command: Command) -> Command:
    """Add `--account`, whose domain is meant."""
    return click.option(
        "--account",
        "account_id",
        type=GuidParameter(AccountId),
        help="The account of a domain, GUID or base64.",
    )(command)


def counted(number: int, name: str = "licence") -> str:
    """Return how many there are, in words."""
    return f"1 {name}" if number == 1 else f"{number} {name}s"
