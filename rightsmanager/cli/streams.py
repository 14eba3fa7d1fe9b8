"""`rightsmanager streams`: which licences with secure stop are in use, and an end to them."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from rightsmanager.admin.streams import StreamControl
from rightsmanager.cli.device_parameter import DeviceParameter
from rightsmanager.cli.options import (
    GuidParameter,
    data_option,
    json_option,
    made_store_of,
    settings_of,
)
from rightsmanager.cli.printing import print_table
from rightsmanager.hooks.facts import StreamHolder
from rightsmanager.protocol.wire import AccountId, Guid

Command = TypeVar("Command", bound=Callable[..., Any])

_COLUMNS: Final = {
    "stream_id": "stream",
    "state": "state",
    "account": "account",
    "device": "device",
    "kid": "KID",
    "opened_at": "opened",
    "expires_at": "expires",
    "ended_at": "ended",
}


def _holder_options(command: Command) -> Command:
    """Add `--account` and `--device`, one of which may say whose streams are meant."""
    account = click.option(
        "--account", type=GuidParameter(AccountId), help="Those of an account (GUID or base64)."
    )
    device = click.option(
        "--device",
        type=DeviceParameter(),
        help="Those of a device (its id, chain file or folder) that are of no account.",
    )
    return account(device(command))


@click.group()
def streams() -> None:
    """List and end streams: licences with secure stop that are in use."""


@streams.command(name="list")
@data_option
@json_option
@click.option("--all", "ended", is_flag=True, help="Also those that have ended.")
@_holder_options
def list_(
    data: Path, *, ended: bool, account: AccountId | None, device: str | None, as_json: bool
) -> None:
    """List the streams that are open, oldest first."""
    facts = _control(data).find(_holder(account, device), ended=ended)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        print_table(
            tuple(_COLUMNS.values()),
            [[fact[name] or "" for name in _COLUMNS] for fact in facts],
        )


@streams.command()
@data_option
@json_option
@_holder_options
@click.argument("stream", type=GuidParameter(Guid), nargs=-1)
def end(
    data: Path,
    *,
    stream: tuple[Guid, ...],
    account: AccountId | None,
    device: str | None,
    as_json: bool,
) -> None:
    """End STREAMs by their ids, or all of an account or a device; no licence is taken back."""
    holder = _holder(account, device)
    if (holder is None) == (not stream):
        raise click.UsageError("Name streams, or --account, or --device.")
    control = _control(data)
    count = control.end(dict.fromkeys(stream)) if holder is None else control.end_all(holder)
    if as_json:
        click.echo(json.dumps({"ended": count}))
    else:
        click.echo(f"{count} {'stream' if count == 1 else 'streams'} ended")


def _holder(account: AccountId | None, device: str | None) -> StreamHolder | None:
    if account is not None and device is not None:
        raise click.UsageError("Name an account or a device, not both.")
    if account is None and device is None:
        return None
    return StreamHolder(account, device or "")


def _control(data: Path) -> StreamControl:
    return StreamControl(made_store_of(settings_of(data)), lambda: int(time.time()))
