"""Parameters that several commands share."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from rightsmanager.cli.printing import printable
from rightsmanager.errors import InvalidMessage, Refusal
from rightsmanager.files import read_file
from rightsmanager.protocol.wire import AccountId, Kid, Mid, ServiceId

Command = TypeVar("Command", bound=Callable[..., Any])
Value = TypeVar("Value")

MAX_INPUT: Final = 16 * 1024 * 1024
"""The most bytes of an input file; messages have some ten thousand."""


class Parsed(click.ParamType[Value]):
    """A parameter that a function parses; click prints what the function raises."""

    def __init__(self, name: str, parse: Callable[[str], Value]) -> None:
        self.name = name
        self._parse = parse

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Value:
        """Return the parsed value; one that is parsed already stays as it is."""
        if not isinstance(value, str):
            return value  # type: ignore[return-value] # click converts defaults a second time
        try:
            return self._parse(value)
        except Refusal as error:
            self.fail(printable(error.text), param, ctx)
        except ValueError as error:
            self.fail(printable(str(error)), param, ctx)


def read_input(name: str) -> bytes:
    """Return the bytes of a file, or of standard input for `-`.

    Raises InternalError if it cannot be read, and InvalidMessage for more than MAX_INPUT bytes.
    """
    if name != "-":
        return read_file(Path(name), MAX_INPUT)
    data = sys.stdin.buffer.read(MAX_INPUT + 1)
    if len(data) > MAX_INPUT:
        raise InvalidMessage(f"standard input has more than {MAX_INPUT} bytes")
    return data


INPUT: Final = Parsed("file", read_input)
"""The bytes of a file; - for standard input."""
KID: Final = Parsed(Kid.name, Kid.parse)
MID: Final = Parsed(Mid.name, Mid.parse)
ACCOUNT: Final = Parsed(AccountId.name, AccountId.parse)
SERVICE: Final = Parsed(ServiceId.name, ServiceId.parse)

_SECONDS: Final = {"h": 3600, "d": 86400, "w": 7 * 86400}


def _parse_age(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,6})([hdw])", text)
    if match is None:
        raise ValueError(f"{text!r} is not an age, expected one such as 36h, 90d or 12w")
    return int(match[1]) * _SECONDS[match[2]]


AGE: Final = Parsed("age", _parse_age)
"""An age, in seconds."""


def limit_option(command: Command) -> Command:
    """Add `--limit`; the command gets `limit`."""
    return click.option(
        "--limit",
        type=click.IntRange(min=1),
        default=100,
        show_default=True,
        help="At most so many.",
    )(command)


def add_options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return a decorator that adds several options, which help lists in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add
