"""Description of data of unknown origin, for pages: bounded in size and without secrets.

facts    at most MAX_FACTS, the outer ones first; the others are counted in a fact "…"
text     at most MAX_TEXT characters
secrets  keys and tokens in CustomData, URLs and other parameters are masked
"""

import re
from collections import deque
from dataclasses import replace
from typing import Final

from rightsmanager.errors import InvalidMessage
from rightsmanager.inspection.context import Context
from rightsmanager.inspection.description import REST, Check, Description, Outcome, Value
from rightsmanager.inspection.recognition import describe
from rightsmanager.policy.masking import mask_custom_data, mask_url

MAX_DATA: Final = 16 * 1024 * 1024
"""Longest data, in bytes."""
MAX_FACTS: Final = 5000
MAX_TEXT: Final = 4096
"""Longest value or meaning, in characters."""
MAX_FAILED: Final = 20
"""The failed checks that are kept of facts that are not shown."""

_PARAMETERS: Final = frozenset(("customdata", "setcustomdata", "customattributes"))
_URLS: Final = frozenset(("la_url", "lui_url", "laurl", "@la_url", "@url"))
_SECRET: Final = re.compile(r"contentkey|keyseed|cfg|\bck\W", re.IGNORECASE)


def describe_anything(data: bytes, context: Context) -> Description:
    """Return the description of any data of PlayReady, bounded in size.

    Content keys, and parameters with keys in them, are masked unless `context.show_keys`. Raises
    InvalidMessage if nothing is recognised, or for more than MAX_DATA bytes.
    """
    if len(data) > MAX_DATA:
        raise InvalidMessage(f"it has {len(data)} bytes, expected at most {MAX_DATA}")
    return shorten(describe(data, context), mask=not context.show_keys)


def find_checks(description: Description) -> tuple[Check, ...]:
    """Return every check of the tree, those of outer facts first."""
    return tuple(description.all_checks())


def shorten(description: Description, *, mask: bool, limit: int = MAX_FACTS) -> Description:
    """Return the tree with at most `limit` facts; a fact "…" has the number of the others."""
    return _copy(description, _outer(description, limit), mask=mask)


def _outer(description: Description, limit: int) -> frozenset[int]:
    """Return the identities of the outer facts."""
    kept: set[int] = set()
    waiting = deque([description])
    while waiting and len(kept) < limit:
        fact = waiting.popleft()
        kept.add(id(fact))
        waiting.extend(fact.children)
    return frozenset(kept)


def _copy(fact: Description, kept: frozenset[int], *, mask: bool) -> Description:
    shown = tuple(_copy(child, kept, mask=mask) for child in fact.children if id(child) in kept)
    dropped = [child for child in fact.children if id(child) not in kept]
    return replace(
        fact,
        value=_shorten_value(fact.name, fact.value, mask=mask),
        meaning=None if fact.meaning is None else _shorten_text(fact.meaning),
        children=(*shown, _rest(dropped)) if dropped else shown,
    )


def _rest(dropped: list[Description]) -> Description:
    checks = (check for each in dropped for check in each.all_checks())
    failed = (check for check in checks if check.outcome is Outcome.FAILED)
    first = tuple(check for _, check in zip(range(MAX_FAILED), failed, strict=False))
    count = sum(map(_count, dropped))
    return Description(REST, meaning=f"{count} more", checks=first)


def _count(fact: Description) -> int:
    """Return the number of facts in a tree, those that it has left out itself included."""
    own = fact.value if fact.name == REST and isinstance(fact.value, int) else 1
    return own + sum(map(_count, fact.children))


def _shorten_value(name: str, value: Value, *, mask: bool) -> Value:
    if isinstance(value, tuple):
        return value[:MAX_FACTS]
    if not isinstance(value, str):
        return value
    return _shorten_text(_mask(name.lower(), value) if mask else value)


def _mask(name: str, text: str) -> str:
    if name in _URLS:
        url, _, query = text.partition("?")
        return mask_url(url, query)
    if name in _PARAMETERS or _SECRET.search(text):
        return mask_custom_data(text)
    return text


def _shorten_text(text: str) -> str:
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[:MAX_TEXT]}… {len(text) - MAX_TEXT} more characters"
