"""What is tested, put together around the second client's PKI: readers and the licence service."""

from dataclasses import dataclass, field

from rightsmanager.crypto.keyseed import TEST_KEY_SEED
from rightsmanager.crypto.p256 import Backend, PrivateKey, PublicKey
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.random import Rng, seeded_random
from rightsmanager.operations.acquire_license import LicenseService
from rightsmanager.operations.content import ContentKeys
from rightsmanager.operations.domain_authority import DomainDefaults
from rightsmanager.operations.domain_binding import DomainBinder
from rightsmanager.operations.request import Request
from rightsmanager.operations.revocation import RevocationCache
from rightsmanager.operations.secure_stop_keys import SecureStopKeys
from rightsmanager.operations.signing import Signing
from rightsmanager.policy.defaults import LicenseDefaults
from rightsmanager.policy.grants import Policy
from rightsmanager.protocol.formats.bcert import ChainVerifier
from rightsmanager.protocol.messages.challenge import (
    ChallengeReader,
    LicenseChallenge,
    open_license_challenge,
)
from rightsmanager.protocol.wire import ServiceId
from rightsmanager.protocol.xml.envelope import parse_envelope
from rightsmanager.store.database import Store
from rightsmanager.store.licenses import IssuedLicense
from tests.policy.sample import OWN_MID
from tests.second import curve, world

STORAGE_KEY = bytes(range(32))
URL = "http://127.0.0.1/rightsmanager.asmx"
TERMS = DomainDefaults(
    service_id=ServiceId(b"our service id 1"),
    first_use=True,
    limit=2,
    friendly_name="family & friends",
    url="",
    help_url="",
    default_account=None,
)
SECURE_STOP_SECRET = bytes(range(32, 64))
PORTABLE = choose_backend("portable")


def private_key(number: int) -> PrivateKey:
    return PrivateKey(number.to_bytes(32, "big"))


def public_key(number: int) -> PublicKey:
    return PublicKey(curve.point_bytes(curve.public(number)))


@dataclass(frozen=True)
class Opener:
    """Opens challenges as the service does, and verifies their chains."""

    backend: Backend
    anchor: PublicKey
    keys: tuple[PrivateKey, ...]
    now: int = world.NOW
    verifier: ChainVerifier = field(init=False)
    reader: ChallengeReader = field(init=False)

    def __post_init__(self) -> None:
        verifier = ChainVerifier((self.anchor,))
        object.__setattr__(self, "verifier", verifier)
        object.__setattr__(self, "reader", ChallengeReader(verifier.parse))

    def open(self, body: bytes) -> LicenseChallenge:
        challenge = open_license_challenge(
            parse_envelope(body), self.keys, self.backend, self.reader
        )
        for chain in challenge.client.chains:
            self.verifier.verify(chain, self.now)
        return challenge


def opener(backend: Backend = PORTABLE) -> Opener:
    return Opener(backend, public_key(world.ROOT), (private_key(world.SERVER),))


def make_service(
    store: Store,
    *,
    policy: Policy | None = None,
    always: bool = True,
    backend: Backend = PORTABLE,
    rng: Rng | None = None,
) -> LicenseService:
    verifier = ChainVerifier((public_key(world.ROOT),))
    return LicenseService(
        server_keys=(private_key(world.SERVER),),
        signing=Signing(private_key(world.SIGNER), world.SIGNER_CHAIN, always),
        verifier=verifier,
        reader=ChallengeReader(verifier.parse),
        content_keys=ContentKeys(STORAGE_KEY, TEST_KEY_SEED),
        store=store,
        revocations=RevocationCache(store),
        domains=DomainBinder(TERMS, verifier.parse),
        defaults=LicenseDefaults(policy or Policy()),
        own_mid=OWN_MID,
        backend=backend,
        clock=lambda: world.NOW,
        rng=rng or seeded_random(b"licence service"),
        secure_stop_keys=SecureStopKeys(SECURE_STOP_SECRET),
    )


def ask(service: LicenseService, body: bytes, query: str = "") -> bytes:
    """Return the reply to an envelope."""
    return service.acquire_license(
        Request(
            envelope=parse_envelope(body),
            url=URL,
            query=query,
            headers={},
            remote="127.0.0.1",
        )
    )


def issued(store: Store) -> list[IssuedLicense]:
    with store.transaction() as transaction:
        return transaction.licenses.find_all()
