"""Key requests in the JSON of Widevine's Common Encryption API, here for PlayReady keys.

    request   {"request": base64, "signature": base64, "signer": name}, the last two optional
              {"content_id": base64, "tracks": [{"type"}], "drm_types": [], "protection_scheme",
               "first_crypto_period_index", "crypto_period_count"}
    reply     {"response": base64}
              {"status", "drm": [{"type", "system_id"}], "content_id",
               "tracks": [{"type", "key_id", "key", "iv", "crypto_period_index",
                           "pssh": [{"drm_type", "data", "boxes"}]}]}

    content_id          the program: UTF-8, other bytes are their hexadecimal digits
    protection_scheme   CENC, CBC1, CENS or CBCS; or the number that its four letters are
    key_id              the 16 bytes of the KID in the order of its text
    data, boxes         the PlayReady Object, and the PSSH box with it

The signature is not verified: the server's own rule decides who gets keys.

Source: Widevine DRM Common Encryption API 1.6, and widevine_common_encryption.proto of
shaka-project/shaka-packager for the names and the numbers of schemes.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.keylists.entry import LAST_PERIOD, SCHEMES
from rightsmanager.protocol.formats.packagers.protected_key import ProtectedKey
from rightsmanager.protocol.formats.pssh import SYSTEM_ID
from rightsmanager.protocol.wire import MAX_PROGRAM_LENGTH, encode_base64

MAX_TRACKS: Final = 64
MALFORMED: Final = "MALFORMED_REQUEST"
CONTENT_ID_MISSING: Final = "CONTENT_ID_MISSING"
TRACK_TYPE_MISSING: Final = "TRACK_TYPE_MISSING"

_DIGITS: Final = re.compile("[0-9]{1,10}")
_TRACK: Final = re.compile("[!-~]{1,64}")
_PLAYREADY: Final = "PLAYREADY"
_NUMBERS: Final = {int.from_bytes(scheme.encode(), "big"): scheme for scheme in SCHEMES}


class InvalidKeyRequest(InvalidMessage):
    """A request that is refused with a status of this API."""

    def __init__(self, text: str, status_name: str = MALFORMED) -> None:
        super().__init__(text)
        self.status_name = status_name


@dataclass(frozen=True, slots=True)
class ContentKeyRequest:
    """A request for the keys of a program."""

    content_id: bytes
    tracks: tuple[str, ...]
    """Types of tracks, such as `SD`."""
    scheme: str | None = None
    """One of SCHEMES; None if the request names none."""
    first_period: int | None = None
    """The number of the first key period; None without rotation."""
    period_count: int = 1

    @property
    def program(self) -> str:
        """The name of the program."""
        try:
            text = self.content_id.decode()
        except UnicodeDecodeError:
            return self.content_id.hex()
        return text if text.isprintable() else self.content_id.hex()


def parse_request(data: bytes) -> ContentKeyRequest:
    """Return the request; raises InvalidKeyRequest."""
    outer = _object(data, "the body")
    if not isinstance(outer.get("request"), str):
        raise InvalidKeyRequest("the body has no request, expected a string of base64")
    inner = _object(_base64(outer, "request"), "request")
    first = _number(inner, "first_crypto_period_index", 0, LAST_PERIOD)
    count = _number(inner, "crypto_period_count", 1, LAST_PERIOD)
    return ContentKeyRequest(
        _content_id(inner),
        _tracks(inner.get("tracks")),
        _scheme(inner.get("protection_scheme")),
        first,
        1 if first is None or count is None else count,
    )


def build_request(request: ContentKeyRequest) -> bytes:
    """Return the JSON of a request without a signature."""
    inner: dict[str, object] = {
        "content_id": encode_base64(request.content_id),
        "tracks": [{"type": track} for track in request.tracks],
        "drm_types": [_PLAYREADY],
    }
    if request.scheme is not None:
        inner["protection_scheme"] = request.scheme.upper()
    if request.first_period is not None:
        inner["first_crypto_period_index"] = request.first_period
        inner["crypto_period_count"] = request.period_count
    return _wrap("request", inner)


def build_reply(request: ContentKeyRequest, keys: Sequence[ProtectedKey]) -> bytes:
    """Return the JSON of the keys."""
    return _wrap(
        "response",
        {
            "status": "OK",
            "drm": [{"type": _PLAYREADY, "system_id": SYSTEM_ID.hex}],
            "content_id": encode_base64(request.content_id),
            "tracks": [_track(key) for key in keys],
        },
    )


def build_refusal(status_name: str, text: str) -> bytes:
    """Return the JSON of a refused request; clients ignore the text, people do not."""
    return _wrap("response", {"status": status_name, "status_message": text})


def _wrap(name: str, inner: Mapping[str, object]) -> bytes:
    return json.dumps({name: encode_base64(json.dumps(inner).encode())}).encode()


def _object(data: bytes, name: str) -> Mapping[str, object]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise InvalidKeyRequest(f"{name} is not JSON, expected an object") from None
    if not isinstance(found, dict):
        raise InvalidKeyRequest(f"{name} is a JSON {type(found).__name__}, expected an object")
    return found


def _base64(values: Mapping[str, object], name: str) -> bytes:
    try:
        # ValueError for other characters than ASCII.
        return base64.b64decode(str(values[name]), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidKeyRequest(f"{name} is not base64") from None


def _content_id(values: Mapping[str, object]) -> bytes:
    if not isinstance(values.get("content_id"), str):
        text = "the request has no content_id, expected a string of base64"
        raise InvalidKeyRequest(text, CONTENT_ID_MISSING)
    content_id = _base64(values, "content_id")
    if not 0 < len(content_id) <= MAX_PROGRAM_LENGTH // 2:
        raise InvalidKeyRequest(
            f"content_id has {len(content_id)} bytes, expected 1 to {MAX_PROGRAM_LENGTH // 2}",
            CONTENT_ID_MISSING,
        )
    return content_id


def _tracks(given: object) -> tuple[str, ...]:
    if not isinstance(given, list) or not 0 < len(given) <= MAX_TRACKS:
        count = len(given) if isinstance(given, list) else 0
        text = f"the request has {count} tracks, expected a list of 1 to {MAX_TRACKS}"
        raise InvalidKeyRequest(text, TRACK_TYPE_MISSING)
    return tuple(_track_type(each) for each in given)


def _track_type(given: object) -> str:
    name = given.get("type") if isinstance(given, dict) else None
    if not isinstance(name, str) or _TRACK.fullmatch(name) is None:
        text = f"a track's type is {str(name)[:32]!r}, expected a name of at most 64 characters"
        raise InvalidKeyRequest(text, TRACK_TYPE_MISSING)
    return name


def _scheme(given: object) -> str | None:
    # A list or an object cannot be looked up in a set.
    if given is None or given in (0, "UNSPECIFIED"):
        return None
    scheme = given.lower() if isinstance(given, str) else _NUMBERS.get(_whole(given))
    if scheme not in SCHEMES:
        raise InvalidKeyRequest(
            f"protection_scheme is {str(given)[:32]!r}, expected CENC, CBC1, CENS or CBCS"
        )
    return scheme


def _whole(given: object) -> int:
    return given if isinstance(given, int) else -1


def _number(values: Mapping[str, object], name: str, least: int, most: int) -> int | None:
    given = values.get(name)
    if given is None:
        return None
    is_text = isinstance(given, str) and _DIGITS.fullmatch(given)
    number = int(str(given)) if is_text else _whole(given)
    if not least <= number <= most:
        raise InvalidKeyRequest(f"{name} is {str(given)[:32]!r}, expected {least} to {most}")
    return number


def _track(key: ProtectedKey) -> dict[str, object]:
    system = {
        "drm_type": _PLAYREADY,
        "data": encode_base64(key.playready_object),
        "boxes": encode_base64(key.pssh),
    }
    track: dict[str, object] = {
        "type": key.track,
        "key_id": key.kid_base64,
        "key": encode_base64(key.key),
        "pssh": [system],
    }
    if key.iv is not None:
        track["iv"] = encode_base64(key.iv)
    return track if key.period is None else {**track, "crypto_period_index": key.period}
