"""The options that name a device and its server, and the device's session in a command."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from rightsmanager.cli.operator import now
from rightsmanager.cli.options import ACCOUNT, add_options
from rightsmanager.cli.printing import printable
from rightsmanager.crypto.random import system_random
from rightsmanager.device.http import HttpClient, Post, SavingPost, post, post_trusting
from rightsmanager.device.session import DeviceSession, open_device

Command = TypeVar("Command", bound=Callable[..., Any])

# Keys in a command's context: options may come in any order.
_TRUST: Final = f"{__name__}.trust"
_SAVE: Final = f"{__name__}.save"
_NOTES: Final = f"{__name__}.notes"


@dataclass(slots=True)
class ReplyNotes:
    """Warnings and CustomData of the replies to a command, each printed on standard error."""

    warnings: list[str] = field(default_factory=list)
    custom_data: str | None = None
    """That of the last reply."""

    def add_warning(self, text: str) -> None:
        """Note a warning of the server."""
        self.warnings.append(text)
        click.echo(f"warning: {printable(text)}", err=True)

    def add_custom_data(self, custom_data: str | None) -> None:
        """Note the CustomData of a reply, None for one without."""
        self.custom_data = custom_data
        if custom_data is not None:
            click.echo(f"CustomData: {printable(custom_data)}", err=True)

    def take(self) -> dict[str, object]:
        """Return the notes since the last time, for JSON."""
        taken: dict[str, object] = {"custom_data": self.custom_data, "warnings": self.warnings}
        self.warnings, self.custom_data = [], None
        return taken


def reply_notes() -> ReplyNotes:
    """Return the notes of the current command."""
    notes: ReplyNotes = click.get_current_context().meta.setdefault(_NOTES, ReplyNotes())
    return notes


def open_session(folder: Path) -> DeviceSession:
    """Return the device of a folder; its journal is closed when the command ends."""
    context, notes = click.get_current_context(), reply_notes()
    client: HttpClient = context.meta.get(_TRUST, post)
    reach: Post = replace(client, on_warning=notes.add_warning)
    messages: Path | None = context.meta.get(_SAVE)
    if messages is not None:
        reach = SavingPost(reach, messages)
    # One time for the whole command, so that its checks agree.
    moment = now()
    session = open_device(
        folder,
        rng=system_random,
        clock=lambda: moment,
        post=reach,
        on_custom_data=notes.add_custom_data,
    )
    context.call_on_close(session.close)
    return session


def _trust(context: click.Context, _parameter: click.Parameter, file: Path | None) -> None:
    if file is not None:
        context.meta[_TRUST] = post_trusting(file)


def _save(context: click.Context, _parameter: click.Parameter, folder: Path | None) -> None:
    if folder is not None:
        context.meta[_SAVE] = folder


device_option: Final = click.option(
    "--device",
    "folder",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The device's folder.",
)
server_options: Final = add_options(
    click.option(
        "--cafile",
        metavar="FILE",
        expose_value=False,
        type=click.Path(path_type=Path),
        callback=_trust,
        help="PEM certificates that an https server is trusted by.",
    ),
    click.option(
        "--save-messages",
        metavar="DIR",
        expose_value=False,
        type=click.Path(path_type=Path, file_okay=False),
        callback=_save,
        help="Write each challenge and reply into this folder.",
    ),
)
url_option: Final = add_options(
    click.option("--url", required=True, help="The server's URL, with its query."), server_options
)
account_option: Final = click.option(
    "--account", "account_id", type=ACCOUNT, help="The account of a domain, GUID or base64."
)
custom_data_option: Final = click.option("--custom-data", help="The CustomData of the challenge.")
