"""`rightsmanager streams`: licences with secure stop that are in use."""

from typing import TYPE_CHECKING, Final

import click

from rightsmanager.admin.streams import StreamControl
from rightsmanager.cli.device_parameter import DEVICE
from rightsmanager.cli.operator import Operator, now, pass_operator
from rightsmanager.cli.options import ACCOUNT, Parsed, add_options
from rightsmanager.cli.printing import (
    Form,
    counted,
    form_options,
    json_option,
    print_list,
    print_result,
)
from rightsmanager.hooks.facts import StreamHolder
from rightsmanager.protocol.wire import Guid

if TYPE_CHECKING:
    from rightsmanager.protocol.wire import AccountId

_COLUMNS: Final = {
    "stream_id": "stream",
    "state": "state",
    "account": "account",
    "user": "user",
    "device": "device",
    "kid": "KID",
    "opened_at": "opened",
    "expires_at": "expires",
    "ended_at": "ended",
}
_holder_options: Final = add_options(
    click.option("--account", type=ACCOUNT, help="The streams of this account."),
    click.option(
        "--device",
        type=DEVICE,
        help="The streams of this device (id, chain file or folder) without an account.",
    ),
    click.option("--user", help="The streams of this user, named by a hook."),
)


@click.group()
def streams() -> None:
    """List and end streams under secure stop."""


@streams.command(name="list")
@pass_operator
@form_options
@click.option("--all", "ended", is_flag=True, help="Include streams that have ended.")
@_holder_options
def list_(  # noqa: PLR0913 -- one for each option
    operator: Operator,
    *,
    ended: bool,
    account: "AccountId | None",
    device: str | None,
    user: str | None,
    form: Form,
) -> None:
    """List the open streams, oldest first."""
    control = StreamControl(operator.store, now)
    print_list(form, control.find(_holder(account, device, user), ended=ended), _COLUMNS)


@streams.command()
@pass_operator
@json_option
@_holder_options
@click.argument("stream", type=Parsed(Guid.name, Guid.parse), nargs=-1)
def end(  # noqa: PLR0913 -- one for each option
    operator: Operator,
    *,
    stream: tuple[Guid, ...],
    account: "AccountId | None",
    device: str | None,
    user: str | None,
    form: Form,
) -> None:
    """End streams by id, or all of an account, device or user.

    Their licences stay with the devices.
    """
    holder = _holder(account, device, user)
    if (holder is None) == (not stream):
        raise click.UsageError("Name streams, or --account, --device or --user.")
    control = StreamControl(operator.store, now)
    count = control.end(dict.fromkeys(stream)) if holder is None else control.end_all(holder)
    print_result(form, {"ended": count}, f"{counted(count, 'stream')} ended")


def _holder(
    account: "AccountId | None", device: str | None, user: str | None
) -> StreamHolder | None:
    named = [each for each in (account, device, user) if each is not None]
    if len(named) > 1:
        raise click.UsageError("Name an account, a device or a user, not several of them.")
    return StreamHolder(account, device or "", user) if named else None
