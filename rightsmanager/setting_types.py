"""Types of settings: what a value must be, and how an environment variable spells it."""

import base64
import json
import re
from decimal import Decimal
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.wire import Guid

_ADDRESS: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_MAX_PORT: Final = 0xFFFF
_SECURITY_LEVELS: Final = {150, 2000, 3000}
_MIN_SEED: Final = 30
"""Bytes of a key seed."""


def _refuse_address(bind: str) -> str:
    # gunicorn would answer an invalid one with a traceback.
    match = _ADDRESS.fullmatch(bind)
    if match is None or int(match[1]) > _MAX_PORT:
        raise ValueError("expected HOST:PORT, the port from 0 to 65535")
    return bind


def _refuse_origin(origin: str) -> str:
    # A browser spells its origin in one way; no request would match another spelling.
    if origin not in {"*", "null"} and not _ORIGIN.fullmatch(origin):
        raise ValueError(
            f"{origin!r} is not an origin, expected *, null or scheme://host[:port] in lower case, "
            "without a path"
        )
    return origin


def _refuse_url(url: str) -> str:
    parts = urlsplit(url)
    if url and not (parts.scheme in {"http", "https"} and parts.hostname and url.isprintable()):
        raise ValueError("expected a URL such as https://example.com/x.asmx, or nothing")
    return url


def _refuse_base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("expected a URL without query, fragment and user")
    return url


def _refuse_level(level: int) -> int:
    if level not in _SECURITY_LEVELS:
        raise ValueError("expected 150, 2000 or 3000")
    return level


def _refuse_seed(seed: str) -> str:
    try:
        length = len(base64.b64decode(seed, validate=True))
    except ValueError:
        length = -1
    if seed and length < _MIN_SEED:
        raise ValueError(f"expected base64 of at least {_MIN_SEED} bytes, or nothing")
    return seed


def _refuse_guid(guid: str) -> str:
    try:
        Guid.parse(guid)
    except InvalidMessage:
        raise ValueError("expected a GUID, or its 16 bytes in base64") from None
    return guid


def _refuse_account(account: str) -> str:
    return account and _refuse_guid(account)


def split_list(value: object) -> object:
    """Return the items of a list that an environment variable gives as text."""
    if not isinstance(value, str):
        return value
    if not value.startswith("["):
        return [item.strip() for item in value.split(",") if item.strip()]
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError('expected a list such as one,two or the JSON ["one", "two"]') from None


def parse_object(value: object) -> object:
    """Return the object that an environment variable gives as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError('expected a JSON object such as {"name": "value"}') from None


Address = Annotated[str, AfterValidator(_refuse_address)]
Price = Annotated[Decimal, Field(ge=0)]
Origin = Annotated[str, AfterValidator(_refuse_origin)]
Url = Annotated[str, AfterValidator(_refuse_url)]
BaseUrl = Annotated[Url, AfterValidator(_refuse_base_url)]
SecurityLevel = Annotated[int, AfterValidator(_refuse_level)]
Seed = Annotated[str, AfterValidator(_refuse_seed)]
GuidText = Annotated[str, AfterValidator(_refuse_guid)]
AccountText = Annotated[str, AfterValidator(_refuse_account)]
Level = Annotated[int, Field(ge=0, le=0xFFFF)]
Names = Annotated[tuple[str, ...], BeforeValidator(split_list)]
Texts = Annotated[dict[str, str], BeforeValidator(parse_object)]
