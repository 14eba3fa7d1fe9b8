"""A device as a client of one server: builds challenges, sends them and verifies replies."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from rightsmanager.crypto import p256
from rightsmanager.crypto.random import Rng
from rightsmanager.device.http import Post
from rightsmanager.device.identity import ServerKeys
from rightsmanager.device.opening import LicenseOpener, response_key
from rightsmanager.errors import (
    REFUSALS,
    ConnectionFailed,
    InvalidMessage,
    Refusal,
    StatusCode,
)
from rightsmanager.protocol.messages.exchange import ChallengeKeys, ClientInfo, OpenedReply
from rightsmanager.protocol.messages.response import Fault, parse_fault
from rightsmanager.protocol.wire import PROTOCOLS
from rightsmanager.protocol.xml.envelope import Envelope, parse_envelope

# .NET's exception in front of each text says nothing to a reader.
_SOAP_EXCEPTION: Final = "System.Web.Services.Protocols.SoapException: "
OnCustomData = Callable[[str | None], None]
"""Takes the CustomData of each reply that passed its checks; None for a reply without."""
CLIENT_VERSION: Final = "10.0.16384.10011"


def ignore_custom_data(_custom_data: str | None) -> None:
    """Ignore the CustomData of a reply."""


@dataclass(frozen=True, slots=True)
class ServerClient:
    """A device, the public keys of its server, and its runtime."""

    opening: LicenseOpener
    server: ServerKeys
    now: int
    """Unix seconds."""
    rng: Rng
    post: Post
    on_custom_data: OnCustomData = field(default=ignore_custom_data, repr=False)

    def client_info(self, custom_data: str | None = None) -> ClientInfo:
        """Return the parts of a challenge that do not depend on the operation."""
        return ClientInfo((self.opening.device.chain.raw,), self.now, CLIENT_VERSION, custom_data)

    def challenge_keys(self, key: p256.PublicKey | None = None) -> ChallengeKeys:
        """Return the keys of a challenge; it is encrypted to the server's key unless to `key`."""
        device, backend = self.opening.device, self.opening.backend
        return ChallengeKeys(device.signing_key, key or self.server.wmrmserver, backend, self.rng)

    def call(self, url: str, operation: str, body: bytes) -> Envelope:
        """Return the reply to a challenge; raises the Refusal of a fault."""
        return call(url, operation, body, self.post)

    def verify(self, reply: OpenedReply) -> None:
        """Verify the server's signature of a reply.

        Raises InvalidMessage, and DeviceCertificateRevoked for a revoked server.
        """
        reply.verify(response_key(reply.signing_chain, self.opening, self.now))
        self.on_custom_data(reply.custom_data)


def call(url: str, operation: str, body: bytes, post: Post) -> Envelope:
    """Return the reply to a request; raises the Refusal of a fault, or ConnectionFailed."""
    answer = post(url, f"{PROTOCOLS}/{operation}", body)
    try:
        envelope = parse_envelope(answer, "the answer")
    except InvalidMessage as error:
        raise ConnectionFailed(f"{url} did not answer with SOAP: {error.text}") from None
    return refuse_fault(envelope)


def refuse_fault(envelope: Envelope) -> Envelope:
    """Return the envelope of a reply; raises the Refusal of a fault."""
    fault = parse_fault(envelope)
    if fault is not None:
        raise refusal_of(fault)
    return envelope


def refusal_of(fault: Fault) -> Refusal:
    """Return the exception of a fault."""
    text = fault.text.removeprefix(_SOAP_EXCEPTION)
    try:
        refusal = REFUSALS[StatusCode(fault.status)]
    except ValueError:
        return ConnectionFailed(f"the server answered a fault without a known code: {text}")
    return refusal(
        text,
        custom_data=fault.custom_data,
        redirect_url=fault.redirect_url,
        domain=fault.domain,
        is_received=True,
    )
