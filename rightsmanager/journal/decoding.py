"""Decodes the bodies of an entry when it is looked at: parts, checks and explanation."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote

from rightsmanager.errors import InvalidMessage
from rightsmanager.inspection import Context, Description, Outcome, describe_anything
from rightsmanager.inspection.description import Check
from rightsmanager.inspection.explanation import Defaults, Explanation, explain
from rightsmanager.inspection.questions import Question, header_of
from rightsmanager.policy.masking import MASK, mask_custom_data
from rightsmanager.store.journal.entries import Entry, StoredEntry

EXPLAINED: Final = "AcquireLicense"
_LEVEL: Final = "security level"
_CUSTOM_DATA: Final = "CustomData"


@dataclass(frozen=True, slots=True)
class Decoded:
    """The decoded bodies of an entry; None for a body that is missing or not recognised."""

    request: Description | None
    reply: Description | None
    explanation: Explanation | None
    """The licences that the request gets by the settings of now; None for other operations."""

    @property
    def failed_checks(self) -> tuple[Check, ...]:
        """The checks of both bodies that failed."""
        return tuple(
            check
            for body in (self.request, self.reply)
            if body is not None
            for check in body.all_checks()
            if check.outcome is Outcome.FAILED
        )


def decode(stored: StoredEntry, context: Context, defaults: Defaults) -> Decoded:
    """Return the decoded bodies of an entry; raises nothing for damaged ones.

    The checks are made at the time of the entry.
    """
    entry = stored.entry
    then = replace(context, now=entry.at_ms // 1000, show_keys=False)
    request = _describe(stored.request, then)
    return Decoded(
        request, _describe(stored.reply, then), _explain(entry, request, defaults, then.now)
    )


def _describe(body: bytes, context: Context) -> Description | None:
    if not body:
        return None
    try:
        return _mask(describe_anything(body, context))
    except InvalidMessage:
        return None


def _mask(description: Description) -> Description:
    """Return the tree with masked CustomData."""
    if description.name == _CUSTOM_DATA and isinstance(description.value, str):
        return replace(description, value=mask_custom_data(description.value))
    children = tuple(map(_mask, description.children))
    return replace(description, children=children)


def _explain(
    entry: Entry, request: Description | None, defaults: Defaults, now: int
) -> Explanation | None:
    if entry.operation != EXPLAINED:
        return None
    # With a mask in place of a key, it would be refused for that.
    question = Question(
        query=entry.query if MASK not in unquote(entry.query) else "",
        custom_data=entry.custom_data if MASK not in (entry.custom_data or "") else None,
        header=header_of(entry.kids) if entry.kids else None,
        device_level=None if request is None else _find_level(request),
    )
    return explain(question, defaults, now)


def _find_level(description: Description) -> int | None:
    """Return the security level of the first certificate."""
    levels = (each.value for each in _walk(description) if each.name == _LEVEL)
    return next((level for level in levels if isinstance(level, int)), None)


def _walk(description: Description) -> Iterator[Description]:
    yield description
    for child in description.children:
        yield from _walk(child)
