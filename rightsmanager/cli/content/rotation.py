"""`rightsmanager content rotate`: the keys of a program's next key periods."""

import re
from typing import TYPE_CHECKING, Final

import click

from rightsmanager.admin.rotation import KeyRotation, Rotated, RotatedKey
from rightsmanager.cli.operator import Operator, now, pass_operator
from rightsmanager.cli.printing import Form, json_option, print_json, print_list
from rightsmanager.crypto.random import system_random
from rightsmanager.operations.program_keys import MAX_KEYS
from rightsmanager.protocol.formats.keylists.entry import SCHEMES
from rightsmanager.protocol.wire import encode_base64

if TYPE_CHECKING:
    from collections.abc import Mapping

_COLUMNS: Final = {"period": "period", "kid": "KID", "state": "state"}
_PERIODS: Final = re.compile("([0-9]{1,10})(?:-([0-9]{1,10}))?")


class PeriodRange(click.ParamType[tuple[int, ...]]):
    """Numbers of key periods, such as `3` or `0-9`."""

    name = "range"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the numbers."""
        match = _PERIODS.fullmatch(str(value))
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not 0 <= last - first < MAX_KEYS:
            self.fail(f"{str(value)[:32]!r} is not a range such as 0-9", param, ctx)
        return tuple(range(first, last + 1))


@click.command()
@pass_operator
@click.option("--count", type=click.IntRange(1, MAX_KEYS - 1), help="The periods.  [default: 1]")
@click.option("--periods", metavar="RANGE", type=PeriodRange(), help="These, such as 0-9.")
@click.option("--root", "has_root", is_flag=True, help="Embed leaf licences in the PSSH boxes.")
@click.option("--scheme", type=click.Choice(list(SCHEMES)), help="The scheme of new keys.")
@click.option("--url", help="The service's URL in headers.  [default: server.public_url]")
@click.option("--keys", "show_keys", is_flag=True, help="Print the content keys too.")
@json_option
@click.argument("program")
def rotate(  # noqa: PLR0913 -- one parameter for each option
    operator: Operator,
    *,
    count: int | None,
    periods: tuple[int, ...] | None,
    has_root: bool,
    scheme: str | None,
    url: str | None,
    show_keys: bool,
    form: Form,
    program: str,
) -> None:
    """Create the keys of a program's next periods.

    They follow the last period that has a key. A key of --periods that exists already stays. With
    --json, each key has the PSSH box that signals it; with --root the box brings a leaf licence,
    and the box of the root key is for the manifest.
    """
    if count is not None and periods is not None:
        raise click.UsageError("give --count or --periods")
    rotation = _make_rotation(operator)
    rotated = rotation.rotate(
        program,
        periods or rotation.find_next(program, count or 1),
        url=operator.settings.server.public_url if url is None else url,
        scheme=scheme,
        has_root=has_root,
    )
    if form == "json":
        print_json(_facts(rotated, show_keys=show_keys))
        return
    columns = {**_COLUMNS, "key": "content key"} if show_keys else _COLUMNS
    rows = [_row(each, str(each.period), show_keys=show_keys) for each in rotated.periods]
    if rotated.root is not None:
        rows.append(_row(rotated.root, "root", show_keys=show_keys))
    print_list(None, rows, columns)


def _make_rotation(operator: Operator) -> KeyRotation:
    from rightsmanager.assembly import license_defaults, packaging_options  # noqa: PLC0415

    settings = operator.settings
    return KeyRotation(
        operator.store,
        operator.content_keys,
        packaging_options(settings),
        license_defaults(settings),
        operator.keyring.metering.mid,
        now,
        system_random,
    )


def _row(key: RotatedKey, period: str, *, show_keys: bool) -> dict[str, object]:
    row: dict[str, object] = {"period": period, "kid": key.kid.text}
    row["state"] = "created" if key.is_new else "stored already"
    return {**row, "key": key.key.hex()} if show_keys else row


def _facts(rotated: Rotated, *, show_keys: bool) -> "Mapping[str, object]":
    return {
        "periods": [_key_facts(each, show_keys=show_keys) for each in rotated.periods],
        "root": rotated.root and _key_facts(rotated.root, show_keys=show_keys),
    }


def _key_facts(key: RotatedKey, *, show_keys: bool) -> dict[str, object]:
    facts: dict[str, object] = {
        "program": key.program,
        "period": key.period,
        "kid": key.kid.text,
        "is_new": key.is_new,
        "pssh": encode_base64(key.pssh),
    }
    return {**facts, "key": key.key.hex()} if show_keys else facts
