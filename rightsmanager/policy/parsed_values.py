"""Values of a request before their meaning is known, and limits on reading them.

    ParsedValue    a text, a tuple of values in their order, or a Group of values with names

All four spellings are parsed into it and written from it. Text over the limits is refused before
anything is built from it.
"""

import re
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

from rightsmanager.errors import ServiceSpecific

MAX_TEXT: Final = 65536
"""Longest query or JSON text, in characters."""
MAX_LICENSES: Final = 100
"""Most groups, each a licence, in one request."""
MAX_VALUES: Final = 2000
"""Most values in one request, those in brackets counted one by one."""
# Published examples need five levels.
MAX_DEPTH: Final = 8
"""Deepest nesting of brackets."""
MAX_SHOWN: Final = 80
"""Longest part of a value that a refusal quotes, in characters."""
# Shorter than a content key in base64: a key may be where a name is expected.
MAX_NAME_SHOWN: Final = 20
"""Longest part of an unknown name that a refusal quotes, in characters."""


@dataclass(frozen=True, slots=True)
class Group:
    """Values with names, in the order and letter case in which they were written."""

    items: tuple[tuple[str, "ParsedValue"], ...]


ParsedValue: TypeAlias = "str | tuple[ParsedValue, ...] | Group"


class ParserLimits:
    """Counts the values of one text; each method raises ServiceSpecific over its limit."""

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
        """Check the depth of a bracket."""
        if depth > MAX_DEPTH:
            raise ServiceSpecific(f"{self._spelling} has brackets more than {MAX_DEPTH} deep")

    def licenses(self, count: int) -> None:
        """Check the number of groups."""
        if count > MAX_LICENSES:
            raise ServiceSpecific(
                f"{self._spelling} asks for more than {MAX_LICENSES} licences in one request"
            )


_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def decode_percent(text: str, name: str) -> str:
    """Return a part of a query with its percent-encoding undone.

    Raises ServiceSpecific, which says `name`, for a percent sign without two hexadecimal digits
    and for bytes that are not UTF-8.
    """
    # A plus sign stays one, unlike in forms: values in base64 are pasted unescaped.
    if "%" not in text:
        return text
    bad = _BAD_PERCENT.search(text)
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
    """Return text of a client as a refusal quotes it."""
    return repr(text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…")


def quote_name(text: str) -> str:
    """Return an unknown name as a refusal quotes it, without a value that follows it."""
    name = text.partition("=")[0]
    return repr(name if len(name) <= MAX_NAME_SHOWN else name[:MAX_NAME_SHOWN] + "…")
