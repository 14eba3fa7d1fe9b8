"""AcquireLicense from the client's side: a header in, content keys out."""

from dataclasses import dataclass
from typing import Final

from rightsmanager.crypto.random import Rng
from rightsmanager.device.http import Post
from rightsmanager.device.identity import ServerKeys
from rightsmanager.device.opening import OpenedLicense, Opening, open_reply
from rightsmanager.errors import REFUSALS, InternalError, StatusCode
from rightsmanager.protocol.challenge import (
    LICENSE_VERSIONS,
    NONCE_LENGTH,
    LicenseRequest,
    seal_license_challenge,
)
from rightsmanager.protocol.envelope import parse_envelope
from rightsmanager.protocol.response import Fault, LicenseResponse, parse_fault
from rightsmanager.protocol.wire import PROTOCOLS
from rightsmanager.protocol.wrmheader import Header, canonical_header

CLIENT_VERSION: Final = "10.0.16384.10011"
ACTION: Final = f"{PROTOCOLS}/AcquireLicense"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be acquired, and with what the challenge is adorned."""

    header: Header
    custom_data: str | None = None
    client_version: str = CLIENT_VERSION


@dataclass(frozen=True, slots=True)
class Acquired:
    """A reply whose every check passed."""

    response: LicenseResponse
    licenses: tuple[OpenedLicense, ...]


def acquire(  # noqa: PLR0913 -- a device, a server, a wish, and its surroundings
    url: str,
    wanted: Wanted,
    opening: Opening,
    server: ServerKeys,
    *,
    now: int,
    rng: Rng,
    post: Post,
) -> Acquired:
    """Return the licences for a header from the server at a URL.

    `now` is in Unix seconds. Raises the Refusal that a fault says, and InvalidMessage for a reply
    that does not pass every check.
    """
    nonce = rng(NONCE_LENGTH)
    request = LicenseRequest(
        header=canonical_header(wanted.header),
        version=LICENSE_VERSIONS[wanted.header.version],
        nonce=nonce,
        client_time=now,
        client_version=wanted.client_version,
        chain=opening.device.chain.raw,
        custom_data=wanted.custom_data,
    )
    body = seal_license_challenge(
        request, opening.device.signing_key, server.wmrmserver, opening.backend, rng
    )
    envelope = parse_envelope(post(url, ACTION, body))
    fault = parse_fault(envelope)
    if fault is not None:
        raise refusal_of(fault)
    response, licenses = open_reply(envelope, opening, wanted.header, nonce, now)
    return Acquired(response, licenses)


def refusal_of(fault: Fault) -> Exception:
    """Return the exception that a fault stands for."""
    try:
        refusal = REFUSALS[StatusCode(fault.status)]
    except ValueError:
        return InternalError(f"the server answered a fault without a known code: {fault.text}")
    return refusal(fault.text, custom_data=fault.custom_data, redirect_url=fault.redirect_url)
