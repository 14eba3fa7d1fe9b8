"""AcquireLicense from the client's side: a header in, content keys out."""

from dataclasses import dataclass, field
from typing import Final

from rightsmanager.crypto.random import Rng
from rightsmanager.device.http import Post
from rightsmanager.device.identity import ServerKeys
from rightsmanager.device.opening import LicenseOpener, OpenedLicense, open_reply
from rightsmanager.device.revocation import NO_LISTS, HeldLists, refuse_outdated, take_lists
from rightsmanager.errors import REFUSALS, ConnectionFailed, StatusCode
from rightsmanager.protocol.formats.wrmheader import Header, canonical_header
from rightsmanager.protocol.messages.challenge import (
    LICENSE_VERSIONS,
    NONCE_LENGTH,
    LicenseRequest,
    seal_license_challenge,
)
from rightsmanager.protocol.messages.response import Fault, LicenseResponse, parse_fault
from rightsmanager.protocol.wire import PROTOCOLS
from rightsmanager.protocol.xml.envelope import Envelope, parse_envelope

# .NET's exception in front of each text says nothing to a reader.
_SOAP_EXCEPTION: Final = "System.Web.Services.Protocols.SoapException: "
CLIENT_VERSION: Final = "10.0.16384.10011"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be acquired, and with what the challenge is adorned."""

    header: Header
    custom_data: str | None = None
    client_version: str = CLIENT_VERSION
    domain_chains: tuple[bytes, ...] = field(default=(), repr=False)
    """BCert chains of the domain that the licences are to be bound to."""


@dataclass(frozen=True, slots=True)
class Acquired:
    """A reply whose every check passed."""

    response: LicenseResponse
    licenses: tuple[OpenedLicense, ...]
    held: HeldLists = NO_LISTS
    """The revocation lists that the device now holds."""


def acquire(  # noqa: PLR0913 -- a device, a server, a wish, and its runtime
    url: str,
    wanted: Wanted,
    opening: LicenseOpener,
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
        revocation_lists=opening.held.infos(),
        domain_chains=wanted.domain_chains,
    )
    body = seal_license_challenge(
        request, opening.device.signing_key, server.wmrmserver, opening.backend, rng
    )
    envelope = call(url, "AcquireLicense", body, post)
    response, licenses = open_reply(envelope, opening, wanted.header, nonce, now)
    held = take_lists(opening.held, response.revocation_lists, opening.verifier, now)
    for license_ in licenses:
        refuse_outdated(license_.license, held)
    return Acquired(response, licenses, held)


def call(url: str, operation: str, body: bytes, post: Post) -> Envelope:
    """Return the reply to an operation's challenge; raises the Refusal that a fault says."""
    envelope = parse_envelope(post(url, f"{PROTOCOLS}/{operation}", body))
    fault = parse_fault(envelope)
    if fault is not None:
        raise refusal_of(fault)
    return envelope


def refusal_of(fault: Fault) -> Exception:
    """Return the exception that a fault stands for."""
    try:
        refusal = REFUSALS[StatusCode(fault.status)]
    except ValueError:
        text = fault.text.removeprefix(_SOAP_EXCEPTION)
        return ConnectionFailed(f"the server answered a fault without a known code: {text}")
    return refusal(
        fault.text.removeprefix(_SOAP_EXCEPTION),
        custom_data=fault.custom_data,
        redirect_url=fault.redirect_url,
        domain=fault.domain,
        is_received=True,
    )
