"""Queries and CustomData for log, faults and journal, without the keys and tokens in them.

A value is shown if it is surely harmless, and masked if it may be a key: a misspelled name has no
effect on licences, but its value is as secret as the right one's.
"""

import base64
import re
import string
from typing import Final
from urllib.parse import quote, unquote

from rightsmanager.policy.parameters import PARAMETERS

MASK: Final = "***"
MAX_QUERY: Final = 2048
"""Longest masked query, in characters."""
MAX_CUSTOM_DATA: Final = 4096
"""Longest masked CustomData, in characters."""


def _names(*, secret: bool) -> list[str]:
    return [
        name.lower()
        for parameter in PARAMETERS
        if parameter.value_type.secret is secret
        for name in (parameter.name, *parameter.aliases, parameter.legacy or "")
        if name
    ]


_KNOWN: Final = frozenset(_names(secret=False)) | {"cfg", "cfg64", "json"}
# From the name to the end of the value, in all spellings: cfg, legacy and JSON.
_SECRET: Final = re.compile(
    r"(?<![a-z0-9])((?:"
    + "|".join(map(re.escape, _names(secret=True)))
    + r""")["']?\s*[:=]\s*)[^,)&}]+""",
    re.IGNORECASE,
)
# The name begins where a name may begin: otherwise a long one is read again from each character.
_PAIR: Final = re.compile(
    r"""(?<![\w.-])([\w.-]+)(["']?\s*[:=]\s*["']?)([^,(){}\[\]&"']+)""",
)
_SUSPICIOUS_NAME: Final = re.compile(
    "key|seed|token|secret|password|session|ticket|auth|signature", re.IGNORECASE
)
# 16 bytes in base64 or hexadecimal digits are as long, or longer.
_SUSPICIOUS_VALUE: Final = re.compile("[A-Za-z0-9+/_=-]{22}")
# In a free text, a value without a name may be a key too, unless it is a GUID.
_BARE_VALUE: Final = re.compile(
    r"(?<![\w+/-])(?![0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![\w+/=-]))"
    "[A-Za-z0-9+/_-]{22,}={0,2}"
)
_NAME_BEFORE: Final = re.compile(r"""([\w.-]+)["']?\s*[:=]\s*["']?$""")
_MAX_NAME: Final = 80
_OF_VALUES: Final = string.ascii_letters + string.digits + "+/_=-"
_CFG64: Final = re.compile(r"(cfg64\s*=)([^&]*)", re.IGNORECASE)
_ROUNDS: Final = 4
"""Times that percent-encoding may be nested."""
_SAFE: Final = "%!$&'()*+,;=:@/?-._~\""


def mask_query(query: str) -> str:
    """Return the query with a mask in place of each key, at most MAX_QUERY characters long."""
    plain = _decode(query)
    # JSON may escape any character of a name by a backslash.
    if plain is None or "\\" in plain:
        return MASK
    masked = _mask_pairs(_CFG64.sub(_mask_cfg64, plain))
    # The client's own spelling is kept if nothing had to be masked.
    return _shorten(query if masked == plain else quote(masked, _SAFE))


def mask_custom_data(text: str) -> str:
    """Return CustomData with a mask in place of each key, at most MAX_CUSTOM_DATA characters long.

    It has a query's spellings, or is a text of the player's own: there, each long value without a
    name is masked too.
    """
    if len(text) > MAX_CUSTOM_DATA:
        # The beginning of a key would not look like one.
        text = text[: MAX_CUSTOM_DATA - 1].rstrip(_OF_VALUES) + "…"
    plain = _decode(text)
    if plain is None or "\\" in plain:
        return MASK
    masked = _mask_pairs(_CFG64.sub(_mask_cfg64, plain))
    masked = _BARE_VALUE.sub(_mask_bare, masked)
    return text if masked == plain else masked


def _mask_bare(match: re.Match[str]) -> str:
    before = match.string[max(0, match.start() - _MAX_NAME) : match.start()]
    named = _NAME_BEFORE.search(before)
    return match[0] if named and named[1].lower() in _KNOWN else MASK


def mask_url(url: str, query: str) -> str:
    """Return a URL with its masked query, without a question mark if the query is empty."""
    return f"{url}?{mask_query(query)}" if query else url


def _decode(text: str) -> str | None:
    """Return the text without percent-encoding, None if it is nested too deeply."""
    for _ in range(_ROUNDS):
        decoded = unquote(text, "latin-1")
        if decoded == text:
            return text
        text = decoded
    return None


def _mask_pairs(text: str) -> str:
    return _PAIR.sub(_mask_pair, _SECRET.sub(rf"\1{MASK}", text))


def _mask_pair(match: re.Match[str]) -> str:
    name, between, value = match.groups()
    is_suspicious = _SUSPICIOUS_NAME.search(name) or _SUSPICIOUS_VALUE.search(value)
    if name.lower() in _KNOWN or not is_suspicious:
        return match[0]
    return name + between + MASK


def _mask_cfg64(match: re.Match[str]) -> str:
    # It is masked whole if it has a key, or if what it has cannot be seen.
    data = match[2].translate(str.maketrans("-_ ", "+/+")).rstrip("=")
    try:
        text = _decode(base64.b64decode(data + "=" * (-len(data) % 4)).decode("latin-1"))
    except ValueError:
        text = None
    is_harmless = text is not None and "\\" not in text and _mask_pairs(text) == text
    return match[0] if is_harmless or match[2] == MASK else match[1] + MASK


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_QUERY else text[: MAX_QUERY - 1] + "…"
