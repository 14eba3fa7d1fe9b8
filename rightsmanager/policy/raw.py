"""What a spelling gives before it is known what it means, and how much of it is read.

    raw    a text, a list of raws in their order, or raws with names

All four spellings are read into it and written from it. What is longer, deeper or more than the
limits here is refused before anything is made of it.
"""

import re
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

from rightsmanager.errors import ServiceSpecific

MAX_TEXT: Final = 65536
"""Longest query or `json=` text, in characters."""
MAX_LICENSES: Final = 100
"""Most groups, each a licence, in one request."""
MAX_VALUES: Final = 2000
"""Most values in one request, those in brackets counted one by one."""
MAX_DEPTH: Final = 8
"""How deep brackets may lie in each other; published examples need five levels."""
MAX_SHOWN: Final = 80
"""How many characters of a value a refusal quotes."""
MAX_NAME_SHOWN: Final = 20
"""How many characters of an unknown name a refusal quotes: fewer than a content key has."""


@dataclass(frozen=True, slots=True)
class Group:
    """Raws with names, in the order and letter case in which they were written."""

    items: tuple[tuple[str, "ParsedValue"], ...]


ParsedValue: TypeAlias = "str | tuple[ParsedValue, ...] | Group"


class ParserLimits:
    """Counts what one text holds and refuses what is over the limits."""

    def __init__(self, spelling: str, text: str) -> None:
        self._spelling = spelling
        self._values = 0
        if len(text) > MAX_TEXT:
            raise ServiceSpecific(
                f"{spelling} has {len(text)} characters, expected at most {MAX_TEXT}"
            )

    def value(self) -> None:
        """Count one more value."""
        self._values += 1
        if self._values > MAX_VALUES:
            raise ServiceSpecific(f"{self._spelling} has more than {MAX_VALUES} values")

    def depth(self, depth: int) -> None:
        """Refuse brackets that lie too deep."""
        if depth > MAX_DEPTH:
            raise ServiceSpecific(f"{self._spelling} has brackets more than {MAX_DEPTH} deep")

    def licenses(self, count: int) -> None:
        """Refuse too many groups."""
        if count > MAX_LICENSES:
            raise ServiceSpecific(
                f"{self._spelling} asks for more than {MAX_LICENSES} licences in one request"
            )


_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def decode_percent(text: str, name: str) -> str:
    """Return a part of a query with its percent-encoding undone; a plus sign stays one.

    Raises ServiceSpecific, which says `name`, for a percent sign without two hexadecimal digits
    and for bytes that are not UTF-8.
    """
    if "%" not in text:
        return text
    bad = _PERCENT.search(text)
    if bad is not None:
        raise ServiceSpecific(
            f"{name} has {text[bad.start() : bad.start() + 3]!r}, expected % and two hexadecimal "
            "digits"
        )
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeError:
        raise ServiceSpecific(f"{name} is percent-encoded text that is not UTF-8") from None


def quote(text: str) -> str:
    """Return what a client wrote as a refusal quotes it."""
    return repr(text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…")


def quote_name(text: str) -> str:
    """Return an unknown name as a refusal quotes it: a value may have got into it."""
    name = text.partition("=")[0]
    return repr(name if len(name) <= MAX_NAME_SHOWN else name[:MAX_NAME_SHOWN] + "…")
