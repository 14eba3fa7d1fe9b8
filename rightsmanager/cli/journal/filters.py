"""The filters of the journal's commands."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec

import click

from rightsmanager.cli.operator import Operator
from rightsmanager.cli.options import ACCOUNT, KID, Parsed, add_options
from rightsmanager.store.journal.entries import FAULT, OK, Filter, parse_outcome

Parameters = ParamSpec("Parameters")

_AGE: Final = re.compile(r"([0-9]{1,6})([smhdw])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def _parse_time(text: str) -> int:
    """Return Unix milliseconds of an age or a date."""
    match = _AGE.fullmatch(text)
    if match is not None:
        return int((time.time() - int(match[1]) * _SECONDS[match[2]]) * 1000)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time, expected an age such as 90s, 15m, 36h or 7d, or a date such "
            "as 2026-01-31T12:00"
        ) from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _parse_operation(text: str) -> str:
    """Return an operation's own spelling; the text itself for the name of an act."""
    # Imported where it is used only: it knows the hooks, which cost 0.1 s.
    from rightsmanager.hooks.facts import KEY_PROTOCOLS  # noqa: PLC0415
    from rightsmanager.protocol.messages.operations import OPERATIONS  # noqa: PLC0415

    spellings = {each.lower(): each for each in (*OPERATIONS, *KEY_PROTOCOLS)}
    return spellings.get(text.lower(), text)


def _parse_device(text: str) -> str:
    # Imported where it is used only: it knows operations, which cost 0.2 s.
    from rightsmanager.cli.device_parameter import DEVICE  # noqa: PLC0415

    return DEVICE.convert(text, None, None)


def _parse_outcome(text: str) -> str:
    if text not in (OK, FAULT):
        return f"0x{parse_outcome(text):08x}"
    return text


_TIME: Final = Parsed("time", _parse_time)
_OPTIONS: Final = add_options(
    click.option(
        "--operation",
        type=Parsed("operation", _parse_operation),
        help="Of this operation, such as AcquireLicense.",
    ),
    click.option(
        "--outcome",
        type=Parsed("outcome", _parse_outcome),
        help="With this outcome: ok, fault, or a status code such as 0x8004c601.",
    ),
    click.option(
        "--device",
        type=Parsed("device", _parse_device),
        help="Of this device: its id, its chain's file or its folder.",
    ),
    click.option("--kid", type=KID, help="For this KID."),
    click.option("--account", type=ACCOUNT, help="Of this account."),
    click.option(
        "--text", help="With this text in request id, refusal, query, CustomData or warnings."
    ),
    click.option("--since", type=_TIME, help="At this time or later: an age (15m) or a date."),
    click.option("--until", type=_TIME, help="Before this time: an age (36h) or a date."),
    click.option("--acts", is_flag=True, help="Acts of operators instead of requests."),
)
Command = Callable[Concatenate[Operator, Filter, Parameters], None]


def filter_options(command: Command[Parameters]) -> Callable[..., None]:
    """Add the filters; the command gets a Filter after its Operator."""

    @wraps(command)
    def run(operator: Operator, *arguments: Any, **more: Any) -> None:  # noqa: ANN401 -- the command's
        wanted = Filter(
            operation=more.pop("operation"),
            outcome=more.pop("outcome"),
            device=more.pop("device"),
            kid=more.pop("kid"),
            account=more.pop("account"),
            text=more.pop("text"),
            since_ms=more.pop("since"),
            until_ms=more.pop("until"),
            kind="act" if more.pop("acts") else None,
        )
        command(operator, wanted, *arguments, **more)

    return _OPTIONS(run)
