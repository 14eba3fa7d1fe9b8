"""Queries for the log and for faults, without the content keys that they contain."""

import base64
import re
from typing import Final
from urllib.parse import quote, unquote

from rightsmanager.policy.parameters import PARAMETERS

MASK: Final = "***"
MAX_QUERY: Final = 2048
"""Longest masked query, in characters."""

_SECRET_NAMES: Final = "|".join(
    re.escape(name)
    for parameter in PARAMETERS
    if parameter.value_type.secret
    for name in (parameter.name, *parameter.aliases, parameter.legacy or "")
    if name
)
# The names with the characters of all spellings between name and value: cfg, legacy and JSON.
_SECRET: Final = re.compile(
    rf"""(?<![a-z0-9])((?:{_SECRET_NAMES})["']?\s*[:=]\s*["']?)[^,()&"']+""", re.IGNORECASE
)
_CFG64: Final = re.compile(r"(cfg64=)([^&]*)", re.IGNORECASE)
_ROUNDS: Final = 3
"""Times that percent-encoding may be nested."""
_SAFE: Final = "%!$&'()*+,;=:@/?-._~\""


def mask_query(query: str) -> str:
    """Return the query with a mask in place of each key, at most MAX_QUERY characters long."""
    text = query
    for _ in range(_ROUNDS):
        if _has_secret(text):
            masked = _SECRET.sub(rf"\1{MASK}", _CFG64.sub(_mask_cfg64, text))
            return _shorten(quote(masked, _SAFE))
        text = unquote(text, "latin-1")
    return _shorten(query)


def _has_secret(text: str) -> bool:
    cfg64 = any(_mask_cfg64(match) != match[0] for match in _CFG64.finditer(text))
    return cfg64 or _SECRET.search(text) is not None


def _mask_cfg64(match: re.Match[str]) -> str:
    # A cfg64 is cut into no pieces here: it is masked whole if it names a key.
    data = unquote(match[2]).translate(str.maketrans("-_ ", "+/+")).rstrip("=")
    try:
        text = base64.b64decode(data + "=" * (-len(data) % 4)).decode("latin-1")
    except ValueError:
        return match[0]
    return match[1] + MASK if _SECRET.search(unquote(text)) else match[0]


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_QUERY else text[: MAX_QUERY - 1] + "…"
