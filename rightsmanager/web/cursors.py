"""Cursors: the place in a list that its next page begins at, as a text for addresses and JSON."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from rightsmanager.errors import InvalidMessage
from rightsmanager.store.paging import Key, Page


def cursor_of(page: Page[Any]) -> str | None:
    """Return the cursor of the next page, None at the end."""
    if page.next is None:
        return None
    values = [[each.hex()] if isinstance(each, bytes) else each for each in page.next]
    return urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def read_cursor(text: str) -> Key:
    """Return the place of a cursor; raises InvalidMessage for one that no page had."""
    try:
        values: list[Any] = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return tuple(bytes.fromhex(each[0]) if isinstance(each, list) else each for each in values)
    except (ValueError, TypeError, IndexError, RecursionError):
        raise InvalidMessage("after is not the cursor of an answer") from None
