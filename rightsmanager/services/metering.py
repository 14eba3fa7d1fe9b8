"""GetMeteringCertificate: a device learns whose key it encrypts its reports to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rightsmanager.crypto import p256
from rightsmanager.protocol.bcert import ChainVerifier
from rightsmanager.protocol.metering import open_certificate_request, seal_certificate_response
from rightsmanager.services.clients import refuse_client
from rightsmanager.services.metering_keys import MeteringKeys
from rightsmanager.services.request import Request
from rightsmanager.services.revocation import Revocations
from rightsmanager.services.signing import Signing


@dataclass(frozen=True, slots=True)
class MeteringService:
    """Gives out metering certificates."""

    server_keys: Sequence[p256.PrivateKey] = field(repr=False)
    metering_keys: MeteringKeys
    signing: Signing
    verifier: ChainVerifier
    revocations: Revocations
    backend: p256.Backend
    clock: Callable[[], int]

    def get_metering_certificate(self, request: Request) -> bytes:
        """Return the reply to a GetMeteringCertificate challenge; nothing is stored.

        Raises a Refusal.
        """
        challenge = open_certificate_request(
            request.envelope, self.server_keys, self.backend, self.verifier.parse
        )
        revoked = self.revocations.find_revoked()
        refuse_client(self.verifier, challenge.chains, challenge.signer, revoked, self.clock())
        certificate = self.metering_keys.find_certificate(challenge.mid)
        return seal_certificate_response(
            challenge.mid, certificate, self.signing.chain, self.signing.key
        )
