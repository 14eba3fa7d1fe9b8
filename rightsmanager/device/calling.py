"""How a device asks for anything but licences: challenges signed with its key, replies verified."""

from dataclasses import dataclass

from rightsmanager.crypto import p256
from rightsmanager.crypto.random import Rng
from rightsmanager.device.acquire import CLIENT_VERSION, call
from rightsmanager.device.http import Post
from rightsmanager.device.identity import ServerKeys
from rightsmanager.device.opening import LicenseOpener, response_key
from rightsmanager.protocol.messages.exchange import (
    ChallengeKeys,
    ClientInfo,
    MessageNames,
    OpenedReply,
)
from rightsmanager.protocol.xml.envelope import Envelope


@dataclass(frozen=True, slots=True)
class ServerClient:
    """A device, the server that it knows, and its runtime."""

    opening: LicenseOpener
    server: ServerKeys
    now: int
    """Unix seconds."""
    rng: Rng
    post: Post

    def asking(self, custom_data: str | None = None) -> ClientInfo:
        """Return who asks, in every challenge."""
        return ClientInfo((self.opening.device.chain.raw,), self.now, CLIENT_VERSION, custom_data)

    def sealing(self, key: p256.PublicKey | None = None) -> ChallengeKeys:
        """Return what a challenge is sealed with, encrypted to the server unless to a key."""
        device, backend = self.opening.device, self.opening.backend
        return ChallengeKeys(device.signing_key, key or self.server.wmrmserver, backend, self.rng)

    def call(self, url: str, form: MessageNames, body: bytes) -> Envelope:
        """Return the reply to an operation's challenge; raises the Refusal that a fault says."""
        return call(url, form.operation, body, self.post)

    def verify(self, answered: OpenedReply) -> None:
        """Return if the server signed the reply.

        Raises InvalidMessage, and DeviceCertificateRevoked for a signer that was revoked.
        """
        answered.verify(response_key(answered.signing_chain, self.opening, self.now))
