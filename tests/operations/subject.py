"""A context of operations around the second client's PKI, and the reader of challenges."""

from dataclasses import dataclass, field, replace
from typing import Any

from rightsmanager.crypto.keyseed import TEST_KEY_SEED
from rightsmanager.crypto.p256 import Backend, PrivateKey, PublicKey
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.random import Rng, seeded_random
from rightsmanager.hooks.calls import Hooks
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.keyring import MeteringIdentity
from rightsmanager.operations.acquire_license import acquire_license
from rightsmanager.operations.content import ContentKeys
from rightsmanager.operations.context import Context, Options, RevocationCache, Signing
from rightsmanager.operations.domain_authority import DomainAuthority, DomainDefaults
from rightsmanager.operations.metering_keys import MeteringKeys
from rightsmanager.operations.request import Request
from rightsmanager.operations.secure_stop_keys import SecureStopKeys
from rightsmanager.operations.table import bind_operations
from rightsmanager.policy.defaults import LicenseDefaults
from rightsmanager.policy.grants import Policy
from rightsmanager.protocol.formats.bcert import (
    CertificateType,
    ChainVerifier,
    Key,
    KeyUsage,
    Template,
    chain_under,
    issue,
)
from rightsmanager.protocol.formats.bcert.objects import Metering
from rightsmanager.protocol.messages.challenge import (
    ChallengeReader,
    LicenseChallenge,
    open_license_challenge,
)
from rightsmanager.protocol.messages.metering import read_metering_certificate
from rightsmanager.protocol.wire import Mid, ServiceId
from rightsmanager.protocol.xml.fastpath import parse_fast
from rightsmanager.store.database import Store
from rightsmanager.store.licenses import IssuedLicense
from tests.policy.sample import OWN_MID
from tests.second import curve, world

STORAGE_KEY = bytes(range(32))
METERING = 1010
METERING_ISSUER = 2001
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
        challenge = open_license_challenge(parse_fast(body), self.keys, self.backend, self.reader)
        for chain in challenge.client.chains:
            self.verifier.verify(chain, self.now)
        return challenge


def opener(backend: Backend = PORTABLE) -> Opener:
    return Opener(backend, public_key(world.ROOT), (private_key(world.SERVER),))


def metering_identity(mid: Mid, number: int) -> MeteringIdentity:
    """Return a metering id whose private key is `number`."""
    key = private_key(number)
    template = Template(
        type=CertificateType.METERING,
        security_level=3000,
        certificate_id=bytes(16),
        keys=(Key(key.public, (KeyUsage.ENCRYPT_KEY,)),),
        objects=(Metering(mid, URL),),
    )
    chain = chain_under(issue(template, private_key(METERING_ISSUER)), None)
    return MeteringIdentity(key, read_metering_certificate(chain))


def make_context(
    store: Store,
    *,
    policy: Policy | None = None,
    always: bool = True,
    rng: Rng | None = None,
    metering: MeteringIdentity | None = None,
    options: Options | None = None,
    **changes: Any,  # noqa: ANN401 -- fields of Context
) -> Context:
    """Return a context around the second client's PKI; `changes` are fields of Context."""
    verifier = ChainVerifier((public_key(world.ROOT),))
    rng = rng or seeded_random(b"licence service")
    own = metering or metering_identity(OWN_MID, METERING)
    context = Context(
        server_keys=(private_key(world.SERVER),),
        signing=Signing(private_key(world.SIGNER), world.SIGNER_CHAIN, always),
        verifier=verifier,
        reader=ChallengeReader(verifier.parse),
        store=store,
        revocations=RevocationCache(store),
        content_keys=ContentKeys(STORAGE_KEY, TEST_KEY_SEED),
        metering_keys=MeteringKeys(own, STORAGE_KEY, store),
        secure_stop_keys=SecureStopKeys(SECURE_STOP_SECRET),
        domains=DomainAuthority(None, TERMS, STORAGE_KEY, rng),
        hooks=Hooks(HookSet(), 0),
        backend=PORTABLE,
        clock=lambda: world.NOW,
        rng=rng,
        options=options or Options(defaults=LicenseDefaults(policy or Policy())),
    )
    return replace(context, **changes)


def request(body: bytes, query: str = "", url: str = URL) -> Request:
    return Request(parse_fast(body), url, query, {}, "127.0.0.1")


def post(context: Context, operation: str, body: bytes, query: str = "") -> bytes:
    """Return the reply of an operation, as the server binds it."""
    return bind_operations(context)[operation](request(body, query))


def ask(context: Context, body: bytes, query: str = "") -> bytes:
    """Return the reply to an AcquireLicense envelope."""
    return acquire_license(context, request(body, query))


def issued(store: Store) -> list[IssuedLicense]:
    with store.transaction() as transaction:
        return transaction.licenses.find_all()
