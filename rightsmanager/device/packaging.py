"""AcquirePackagingData on the packager's side: programs in, keys and PlayReady Objects out."""

from collections.abc import Sequence

from rightsmanager.device.client import call
from rightsmanager.device.http import Post
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.pssh import SYSTEM_ID, PlayReadyObject, parse_object
from rightsmanager.protocol.formats.wrmheader import verify_checksum
from rightsmanager.protocol.messages.packaging import (
    OPERATION,
    PackagingRequest,
    StreamInformation,
    StreamProtection,
    build_packaging_request,
    parse_packaging_response,
)
from rightsmanager.protocol.xml.envelope import Envelope


def acquire_packaging_data(
    url: str, streams: Sequence[StreamInformation], post: Post
) -> tuple[StreamProtection, ...]:
    """Return the keys for streams from the server at a URL.

    Raises the Refusal of a fault, and InvalidMessage for a reply whose PlayReady Objects have other
    keys.
    """
    return accept_packaging(call(url, OPERATION, packaging_challenge(streams), post))


def packaging_challenge(streams: Sequence[StreamInformation]) -> bytes:
    """Return the SOAP 1.1 envelope of an AcquirePackagingData request."""
    return build_packaging_request(PackagingRequest((SYSTEM_ID,), tuple(streams)))


def accept_packaging(envelope: Envelope) -> tuple[StreamProtection, ...]:
    """Return the keys of a reply; raises InvalidMessage for one that fails a check."""
    protections = parse_packaging_response(envelope)
    for protection in protections:
        _refuse_other_keys(protection)
    return protections


def playready_object(protection: StreamProtection) -> PlayReadyObject:
    """Return the PlayReady Object of a key; raises InvalidMessage without one."""
    for each in protection.systems:
        if each.system == SYSTEM_ID:
            return parse_object(each.data)
    raise InvalidMessage(f"KID {protection.kid.text} has no PlayReady Object")


def _refuse_other_keys(protection: StreamProtection) -> None:
    keys = {key.kid: key for key in playready_object(protection).header.kids}
    if protection.kid not in keys:
        raise InvalidMessage(f"the PlayReady Object of KID {protection.kid.text} is for another")
    verify_checksum(keys[protection.kid], protection.key)
