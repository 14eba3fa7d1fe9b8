"""Key requests whose replies are JSON: nginx-vod-module's, and Widevine's Common Encryption API."""

import json
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from rightsmanager.errors import InvalidMessage, Refusal
from rightsmanager.operations.program_keys import (
    MAX_KEYS,
    ContradictingKey,
    WantedTrack,
)
from rightsmanager.protocol.formats.packagers import getcontentkey, nginx_vod
from rightsmanager.protocol.formats.packagers.getcontentkey import InvalidKeyRequest
from rightsmanager.web.keys.calls import Answer, Call, http_status

JSON: Final = "application/json"
_STATUS_NAMES: Final = {
    HTTPStatus.UNAUTHORIZED: "ACCESS_DENIED",
    HTTPStatus.FORBIDDEN: "ACCESS_DENIED",
    HTTPStatus.INTERNAL_SERVER_ERROR: "INTERNAL_ERROR",
}


def answer_nginx_vod(call: Call) -> Answer:
    """Return the key of the program in the path."""
    text = call.named("period") or "0"
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):  # noqa: PLR2004 -- digits
        raise InvalidMessage(f"period is {text[:32]!r}, expected a number")
    wanted = call.wanted(call.rest, int(text), call.scheme)
    keys = call.issue([WantedTrack(wanted)])
    body = nginx_vod.build_reply(keys)
    return Answer(HTTPStatus.OK, JSON, body, kids=tuple(key.kid.text for key in keys))


def refuse_nginx_vod(refusal: Refusal) -> Answer:
    """Return the answer to a refused request."""
    body = json.dumps({"error": refusal.text}).encode()
    return Answer(http_status(refusal), JSON, body)


def answer_getcontentkey(call: Call) -> Answer:
    """Return the keys of the request's tracks in its key periods.

    All tracks have the program's key, unless the query has `keys=track`.
    """
    request = getcontentkey.parse_request(call.body)
    scheme = request.scheme or call.scheme
    by_track = call.named("keys") == "track"
    if len(request.tracks) * request.period_count > MAX_KEYS:
        raise InvalidKeyRequest(f"the request is for more than {MAX_KEYS} keys")
    first = request.first_period or 0
    tracks = [
        WantedTrack(call.wanted(program, period, scheme), track)
        for period in range(first, first + request.period_count)
        for track in request.tracks
        for program in [f"{request.program}#{track}" if by_track else request.program]
    ]
    keys = call.issue(tracks)
    if request.first_period is None:
        # Only keys that rotate have a period's number.
        keys = tuple(replace(key, period=None) for key in keys)
    body = getcontentkey.build_reply(request, keys)
    kids = tuple(dict.fromkeys(key.kid.text for key in keys))
    return Answer(HTTPStatus.OK, JSON, body, kids=kids)


def refuse_getcontentkey(refusal: Refusal) -> Answer:
    """Return the answer to a refused request."""
    status = http_status(refusal)
    name = _STATUS_NAMES.get(status, getcontentkey.MALFORMED)
    if isinstance(refusal, InvalidKeyRequest):
        name = refusal.status_name
    if isinstance(refusal, ContradictingKey):
        name = "KEY_ID_MISMATCH"
    return Answer(status, JSON, getcontentkey.build_refusal(name, refusal.text))
