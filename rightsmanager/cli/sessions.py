"""`rightsmanager sessions`: the playback sessions that devices reported."""

from typing import TYPE_CHECKING, Final

import click

from rightsmanager.admin.issued import IssuedReader
from rightsmanager.cli.device_parameter import DEVICE
from rightsmanager.cli.operator import Operator, pass_operator
from rightsmanager.cli.options import KID, limit_option
from rightsmanager.cli.printing import Form, form_options, print_list

if TYPE_CHECKING:
    from rightsmanager.protocol.wire import Kid

_COLUMNS: Final = {
    "device": "device",
    "session_id": "session",
    "kid": "KID",
    "started_at": "started",
    "updated_at": "updated",
    "stopped": "stopped",
    "proven": "proven",
    "reported_at": "reported",
}


@click.group()
def sessions() -> None:
    """List playback sessions under secure stop."""


@sessions.command(name="list")
@pass_operator
@form_options
@click.option("--device", type=DEVICE, help="Sessions of this device (id, chain file or folder).")
@click.option("--kid", type=KID, help="Sessions with this KID.")
@limit_option
def list_(
    operator: Operator, *, device: str | None, kid: "Kid | None", limit: int, form: Form
) -> None:
    """List reported sessions, the one with the latest news first.

    Start and update are by the device's clock. "stopped": it ended cleanly. "proven": secure stop 2
    proved this state.
    """
    print_list(form, IssuedReader(operator.store).find_sessions(device, kid, limit), _COLUMNS)
