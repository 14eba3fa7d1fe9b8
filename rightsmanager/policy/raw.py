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

TEXT_MOST: Final = 65536
"""Longest query or `json=` text, in characters."""
LICENSES_MOST: Final = 100
"""Most groups, each a licence, in one request."""
VALUES_MOST: Final = 2000
"""Most values in one request, those in brackets counted one by one."""
DEPTH_MOST: Final = 8
"""How deep brackets may lie in each other; published examples need five levels."""
SHOWN_MOST: Final = 80
"""How many characters of a value a refusal quotes."""
NAME_SHOWN_MOST: Final = 20
"""How many characters of an unknown name a refusal quotes: fewer than a content key has."""


@dataclass(frozen=True, slots=True)
class Named:
    """Raws with names, in the order and letter case in which they were written."""

    items: tuple[tuple[str, "Raw"], ...]


Raw: TypeAlias = "str | tuple[Raw, ...] | Named"


class Meter:
    """Counts what one text holds and refuses what is over the limits."""

    def __init__(self, spelling: str, text: str) -> None:
        self._spelling = spelling
        self._values = 0
        if len(text) > TEXT_MOST:
            raise ServiceSpecific(
                f"{spelling} has {len(text)} characters, expected at most {TEXT_MOST}"
            )

    def value(self) -> None:
        """Count one more value."""
        self._values += 1
        if self._values > VALUES_MOST:
            raise ServiceSpecific(f"{self._spelling} has more than {VALUES_MOST} values")

    def depth(self, depth: int) -> None:
        """Refuse brackets that lie too deep."""
        if depth > DEPTH_MOST:
            raise ServiceSpecific(f"{self._spelling} has brackets more than {DEPTH_MOST} deep")

    def licenses(self, count: int) -> None:
        """Refuse too many groups."""
        if count > LICENSES_MOST:
            raise ServiceSpecific(
                f"{self._spelling} asks for more than {LICENSES_MOST} licences in one request"
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
    return repr(text if len(text) <= SHOWN_MOST else text[: SHOWN_MOST - 1] + "…")


def quote_name(text: str) -> str:
    """Return an unknown name as a refusal quotes it: a value may have got into it."""
    name = text.partition("=")[0]
    return repr(name if len(name) <= NAME_SHOWN_MOST else name[:NAME_SHOWN_MOST] + "…")
