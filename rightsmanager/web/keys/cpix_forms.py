"""Key requests whose replies are CPIX: by GET, by a request document, and by SPEKE.

SPEKE is CPIX with rules of its own. Its refusals are a text with the status 422, or that of access.
Every answer has the headers of SPEKE, a refusal too: the version is that of the request.

Source: the AWS documents "SPEKE API v1", "v2" and "v2.1", and "Implementing SPEKE v2.0 with AWS
Elemental MediaPackage" for the texts of refusals.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from rightsmanager import __version__
from rightsmanager.crypto.rsa_signatures import RsaSigner
from rightsmanager.errors import InternalError, InvalidMessage, Refusal
from rightsmanager.operations.access import AccessDenied
from rightsmanager.operations.program_keys import (
    MAX_KEYS,
    Slot,
    WantedKey,
    WantedTrack,
    refuse_many,
    refuse_program,
)
from rightsmanager.protocol.formats.keylists.entry import LAST_PERIOD, SCHEMES
from rightsmanager.protocol.formats.packagers.cpix_encryption import draw_document_keys
from rightsmanager.protocol.formats.packagers.cpix_exchange import (
    VERSIONS,
    CpixRequest,
    RequestedKey,
    build_request,
    fill_request,
    open_request,
    parse_request,
)
from rightsmanager.protocol.formats.packagers.protected_key import ProtectedKey
from rightsmanager.web.http import BodyTooLarge
from rightsmanager.web.keys.calls import Answer, Call, Headers, http_status

XML: Final = "application/xml"
TEXT: Final = "text/plain; charset=utf-8"
USER_AGENT: Final = f"rightsmanager/{__version__}"

_SPEKE_VERSION: Final = "x-speke-version"
_SPEKE_2_CPIX: Final = {"2.0": "2.3", "2.1": "2.4"}
"""The CPIX version of each version of SPEKE."""
_GET_VERSION: Final = "2.3"
_RANGE: Final = re.compile("([0-9]{1,10})(?:-([0-9]{1,10}))?")
_STREAM: Final = re.compile(r"[A-Za-z0-9_.+-]{1,64}")


class UnservedPath(InvalidMessage):
    """A request to a path below that of SPEKE."""


def answer_get(call: Call) -> Answer:
    """Return the document of a program.

    The query may name `streams` (a key for each), `periods`, `scheme` and `version`.
    """
    version = call.named("version") or _GET_VERSION
    if version not in VERSIONS:
        raise InvalidMessage(f"version is {version[:32]!r}, expected {', '.join(VERSIONS)}")
    # Without it a stream's name alone would do.
    refuse_program(call.rest)
    periods, streams = _periods(call.named("periods")), _streams(call.named("streams"))
    scheme = call.scheme
    # Before the keys are listed: a short query can name very many.
    refuse_many(len(periods) * len(streams))
    tracks = [
        WantedTrack(call.wanted(program, period or 0, scheme), stream)
        for period in periods
        for stream in streams
        for program in [f"{call.rest}#{stream}" if stream else call.rest]
    ]
    keys = call.issue(tracks)
    if periods == (None,):
        keys = tuple(replace(key, period=None) for key in keys)
    request = parse_request(build_request(call.rest, keys, version))
    body = fill_request(replace(request, version=version), keys, None, call.context.options.signer)
    return _answer(body, keys)


def answer_post(call: Call) -> Answer:
    """Return the request document with its keys; the path may name the program."""
    if call.rest:
        refuse_program(call.rest)
    request = parse_request(call.body, call.rest or None)
    signer = call.context.options.signer
    return _fill(call, request, is_kid_replaced=_replaces_kid(call), signer=signer)


def refuse_cpix(refusal: Refusal) -> Answer:
    """Return the answer to a refused request."""
    # A hook's text may have any characters.
    body = f"{refusal.text}\n".encode("utf-8", "backslashreplace")
    return Answer(http_status(refusal), TEXT, body)


def answer_speke_2(call: Call) -> Answer:
    """Return the request document of SPEKE 2.0 or 2.1 with its keys."""
    _refuse_rest(call)
    version = call.headers.get(_SPEKE_VERSION, "")
    if version not in _SPEKE_2_CPIX:
        raise InvalidMessage(f"Unsupported SPEKE version: {version[:32]!r}, expected 2.0 or 2.1")
    request = parse_request(call.body)
    _refuse_unlike_speke_2(request, _SPEKE_2_CPIX[version])
    return _fill(call, request, is_kid_replaced=_replaces_kid(call))


def speke_2_headers(version: str, headers: Mapping[str, str]) -> Headers:
    """Return the headers of an answer to a request of SPEKE 2.0 or 2.1 with these headers.

    version: that of the path, for requests of another version or of none.
    """
    named = headers.get(_SPEKE_VERSION, "")
    # Never the text of an unknown version: it is the client's.
    version = named if named in _SPEKE_2_CPIX else version
    return (("X-Speke-User-Agent", USER_AGENT), ("X-Speke-Version", version))


def answer_speke_1(call: Call) -> Answer:
    """Return the request document of SPEKE 1.0 with its keys, whose KIDs may be others."""
    _refuse_rest(call)
    request = parse_request(call.body)
    if request.content_id is None:
        raise InvalidMessage("Missing CPIX@id")
    return _fill(call, request, is_kid_replaced=True)


def speke_1_headers(_headers: Mapping[str, str]) -> Headers:
    """Return the headers of an answer to a request of SPEKE 1.0."""
    return (("Speke-User-Agent", USER_AGENT),)


def refuse_speke(refusal: Refusal) -> Answer:
    """Return the answer to a refused request of SPEKE."""
    answer = refuse_cpix(refusal)
    if isinstance(refusal, UnservedPath):
        return replace(answer, status=HTTPStatus.NOT_FOUND)
    if isinstance(refusal, AccessDenied | BodyTooLarge | InternalError):
        return answer
    return replace(answer, status=HTTPStatus.UNPROCESSABLE_ENTITY)


def _refuse_rest(call: Call) -> None:
    if call.rest:
        raise UnservedPath(f"the path ends with {call.rest[:64]!r}, expected copyProtection")


def _refuse_unlike_speke_2(request: CpixRequest, version: str) -> None:
    if request.content_id is None:
        raise InvalidMessage("Missing CPIX@contentId")
    if request.version is None:
        raise InvalidMessage("Missing CPIX@version")
    if request.version != version:
        found = f"{request.version!r}, expected {version!r}"
        raise InvalidMessage(f"Unsupported CPIX@version: {found}")
    for key in request.keys:
        if key.scheme is None:
            kid = key.kid.text
            raise InvalidMessage(f"Missing ContentKey@commonEncryptionScheme for KID {kid}")
    if len({SCHEMES[key.scheme] for key in request.keys if key.scheme}) > 1:
        raise InvalidMessage("Non compliant ContentKey@commonEncryptionScheme combination")


def _replaces_kid(call: Call) -> bool:
    return call.context.options.replace_kid


def _fill(
    call: Call, request: CpixRequest, *, is_kid_replaced: bool, signer: RsaSigner | None = None
) -> Answer:
    """Return the filled document, encrypted if it has recipients."""
    context = call.context
    context.options.refuse_signers(request.signers)
    request = open_request(request, context.options.recipient)
    if request.content_id is not None:
        refuse_program(request.content_id)
    encryption = draw_document_keys(request.recipients, context.clock(), context.rng)
    tracks = [_track(call, key, is_kid_replaced=is_kid_replaced) for key in request.keys]
    keys = call.issue(tracks)
    drawn = None if encryption is None else (encryption, context.rng)
    return _answer(fill_request(request, keys, drawn, signer), keys)


def _track(call: Call, key: RequestedKey, *, is_kid_replaced: bool) -> WantedTrack:
    slot = None
    if key.slot is not None and key.slot.program is not None:
        # The document's, or one of the key's own, with the name of its track.
        refuse_program(key.slot.program)
        slot = Slot(key.slot.program, key.slot.period)
    scheme = key.scheme or call.scheme
    wanted = WantedKey(slot, key.kid, scheme, key.key, key.iv, key.track, is_kid_replaced)
    return WantedTrack(wanted, root=key.root)


def _periods(text: str) -> tuple[int | None, ...]:
    """Return the numbers of periods such as `0-3,7`; None for a program without periods."""
    if not text:
        return (None,)
    found: list[int] = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last > LAST_PERIOD or first > last:
            raise InvalidMessage(f"periods is {text[:64]!r}, expected such as 0-3,7")
        if len(found) + last - first >= MAX_KEYS:
            raise InvalidMessage(f"periods has more than {MAX_KEYS} numbers")
        found += range(first, last + 1)
    return tuple(dict.fromkeys(found))


def _streams(text: str) -> tuple[str, ...]:
    """Return the names of streams such as `SD,AUDIO`; an empty one without any."""
    names = tuple(dict.fromkeys(text.split(",")))
    if text and not all(map(_STREAM.fullmatch, names)):
        raise InvalidMessage(f"streams is {text[:64]!r}, expected names such as SD,AUDIO")
    return names


def _answer(body: bytes, keys: Sequence[ProtectedKey]) -> Answer:
    return Answer(HTTPStatus.OK, XML, body, kids=tuple(key.kid.text for key in keys))
