"""The context of every operation, and the request and the device that it deals with.

One frozen Context serves all requests of a process. An operation is a function of the context and
one request; it returns the Body's child in UTF-8 or raises a Refusal, before which it stores
nothing. Its steps are the same five everywhere:

    open      verify and decrypt the challenge into a frozen value
    refuse    raise unless the device is authenticated and may ask
    decide    what to grant or to record
    record    one transaction, committed before the reply
    seal      build and sign the reply
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from rightsmanager.crypto import p256
from rightsmanager.crypto.random import Rng
from rightsmanager.crypto.recipients import OwnRecipient
from rightsmanager.crypto.rsa_signatures import RsaSigner
from rightsmanager.errors import InvalidMessage
from rightsmanager.hooks.calls import Hooks
from rightsmanager.hooks.facts import Facts
from rightsmanager.operations.access import Access
from rightsmanager.operations.content import ContentKeys
from rightsmanager.operations.domain_authority import DomainAuthority
from rightsmanager.operations.metering_keys import MeteringKeys
from rightsmanager.operations.packaging_keys import PackagingOptions
from rightsmanager.operations.request import Request
from rightsmanager.operations.secure_stop_keys import SecureStopKeys
from rightsmanager.operations.streams import StreamSettings
from rightsmanager.policy.defaults import LicenseDefaults
from rightsmanager.policy.device import Device
from rightsmanager.protocol.formats.bcert import CertificateType, Chain, ChainVerifier
from rightsmanager.protocol.formats.revocation import REVOCATION_INFO
from rightsmanager.protocol.messages.challenge import ChallengeReader, RevocationListInfo
from rightsmanager.protocol.messages.delete_license import MAX_KIDS
from rightsmanager.protocol.messages.exchange import ClientStatement, read_client
from rightsmanager.protocol.messages.metering import MAX_RECORDS
from rightsmanager.protocol.messages.response import RevocationList
from rightsmanager.protocol.messages.secure_stop import MAX_SESSIONS
from rightsmanager.protocol.wire import Guid, Kid
from rightsmanager.protocol.xml.elements import Fields
from rightsmanager.store.content_keys import KeyPair
from rightsmanager.store.database import Store, Transaction


@dataclass(frozen=True, slots=True)
class Revoked:
    """The revoked certificates at one version of the revocation information."""

    version: int = 0
    digests: frozenset[bytes] = field(default=frozenset(), repr=False)
    """SHA-256 of each certificate that is on a list and not allowed, 32 bytes each."""
    lists: Mapping[Guid, int] = field(default_factory=dict)
    """The newest version of each list that was ever changed."""


class RevocationCache:
    """Finds the revoked certificates; thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known = Revoked()
        self.hits = 0
        """Times that the known certificates were still the newest."""
        self.misses = 0

    def find_revoked(self) -> Revoked:
        """Return the certificates that are revoked now."""
        with self._store.reading() as found:
            version = found.revocations.find_version(REVOCATION_INFO)
            known = self._known
            if version != known.version:
                return self._reload(found, version)
            self.hits += 1
            return known

    def find_revoked_and_keys(self, kid: Kid) -> tuple[Revoked, KeyPair]:
        """Return the certificates that are revoked now, and the stored content keys of a KID."""
        with self._store.reading() as found:
            version, keys = found.content_keys.find_with_version(REVOCATION_INFO, kid)
            known = self._known
            if version != known.version:
                return self._reload(found, version), keys
            self.hits += 1
            return known, keys

    def _reload(self, found: Transaction, version: int) -> Revoked:
        self.misses += 1
        # If a change comes in between, the older number has it read again next time.
        self._known = Revoked(
            version,
            found.revocations.find_revoked(),
            {each.list_id: each.version for each in found.revocations.find_lists()},
        )
        return self._known

    def find_newer_lists(
        self, revoked: Revoked, held: Sequence[RevocationListInfo]
    ) -> tuple[RevocationList, ...]:
        """Return the lists of which the client holds an older version."""
        if not held:
            return ()
        older = [info.list_id for info in held if info.version < revoked.lists.get(info.list_id, 0)]
        if not older:
            return ()
        with self._store.reading() as found:
            return tuple(
                RevocationList(list_id, found.revocations.find_list_data(list_id))
                for list_id in dict.fromkeys(older)
            )


CLIENT_TYPES: Final = frozenset(
    {
        CertificateType.PC,
        CertificateType.DEVICE,
        CertificateType.SILVERLIGHT,
        CertificateType.APPLICATION,
    }
)
"""The certificate types of clients."""


@dataclass(frozen=True, slots=True)
class Signing:
    """The key and the chain that replies are signed with."""

    key: p256.PrivateKey = field(repr=False)
    chain: bytes = field(repr=False)
    """BCert chain whose leaf has the usages to sign licences and responses."""
    always: bool
    """True if replies without a persistent licence are signed too."""


def _accept_signers(_signers: Sequence[bytes]) -> None:
    """Accept any signers, and none."""


@dataclass(frozen=True, slots=True)
class Options:
    """The settings that operations depend on."""

    defaults: LicenseDefaults = field(default_factory=LicenseDefaults)
    """The policy and the domain of a request that names none, and the rules for requests."""
    acknowledge_persistent: bool = False
    """True if replies with a persistent licence ask for an acknowledgement."""
    replay_window_seconds: int = 0
    """Time within which a challenge is answered once; 0 to answer each repeat alike."""
    streams: StreamSettings = field(default_factory=StreamSettings)
    max_records: int = MAX_RECORDS
    """Of a metering report."""
    keep_reports: bool = True
    """True if the content of metering reports is stored in addition to the totals."""
    max_sessions: int = MAX_SESSIONS
    """Of a secure stop report."""
    max_deleted_kids: int = MAX_KIDS
    """Of a secure delete report."""
    packaging: PackagingOptions = field(default_factory=PackagingOptions)
    packaging_access: Access = field(default_factory=Access)
    replace_kid: bool = False
    """Whether a request with another KID than the program has gets the stored one."""
    refuse_signers: Callable[[Sequence[bytes]], None] = _accept_signers
    """Raises InvalidMessage unless the signers of a CPIX request, in DER, are trusted."""
    recipient: OwnRecipient | None = None
    """Opens encrypted keys in CPIX requests; None if they are refused."""
    signer: RsaSigner | None = None
    """Signs CPIX documents; None for none."""


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that operations need in addition to the request."""

    server_keys: Sequence[p256.PrivateKey] = field(repr=False)
    """The key that challenges are encrypted to, and its predecessors."""
    signing: Signing
    verifier: ChainVerifier
    reader: ChallengeReader
    store: Store
    revocations: RevocationCache
    content_keys: ContentKeys
    metering_keys: MeteringKeys
    secure_stop_keys: SecureStopKeys
    domains: DomainAuthority
    hooks: Hooks
    backend: p256.Backend
    clock: Callable[[], int]
    """Returns the time in Unix seconds."""
    rng: Rng
    options: Options = field(default_factory=Options)


def unix_time() -> int:
    """Return the time of the system's clock in Unix seconds."""
    return int(time.time())


Operation = Callable[[Context, Request], bytes]
"""An operation: returns the Body's child in UTF-8, or raises a Refusal."""


class SignedChallenge(Protocol):
    """A challenge whose signature verified, whose chains are still to be verified."""

    @property
    def chains(self) -> tuple[Chain, ...]:
        """All chains of the challenge."""

    @property
    def signer(self) -> Chain:
        """The chain whose leaf signed it."""


Challenge = TypeVar("Challenge")


@dataclass(frozen=True, slots=True)
class Verified(Generic[Challenge]):
    """A request whose challenge verified and whose device is authenticated."""

    request: Request
    challenge: Challenge
    device: Device
    now: int
    """The time of the request, in Unix seconds."""


def authenticate(
    context: Context, request: Request, challenge: SignedChallenge, now: int
) -> Device:
    """Return the device that signed a challenge; `now` in Unix seconds.

    Raises InvalidMessage unless every chain verifies and the signer is a client, and
    DeviceCertificateRevoked for a revoked certificate.
    """
    revoked = context.revocations.find_revoked()
    verify_chains(context, challenge.chains, challenge.signer, revoked, now)
    device = Device(challenge.signer.leaf.device_id, challenge.signer, challenge.chains)
    progress = request.progress
    progress.device = device.id
    # Nothing is to be decided unless the operation says so later.
    progress.verified = progress.decided = progress.clock()
    return device


def build_facts(request: Request, device: Device, client: ClientStatement) -> Facts:
    """Return the facts that hooks receive of a device's request of any operation."""
    return Facts(
        operation=request.envelope.operation,
        url=request.url,
        query=request.query,
        headers=request.headers,
        remote=request.remote,
        request_id=request.request_id,
        device=device.id,
        security_level=device.leaf.security_level,
        chain=device.chain.certificates,
        client_version=client.client_version,
        client_time=client.client_time,
        features=device.features,
        custom_data=client.custom_data,
    )


def build_report_facts(request: Request, device: Device, elements: Fields) -> Facts:
    """Return the facts of another operation than AcquireLicense; `elements` are those of E."""
    return build_facts(request, device, read_client(elements))


def verify_chains(
    context: Context, chains: Sequence[Chain], signer: Chain, revoked: Revoked, now: int
) -> None:
    """Raise unless every chain verifies at `now` and the signer is a client; see authenticate."""
    for chain in chains:
        context.verifier.verify(chain, now, revoked.digests)
    if signer.leaf.type not in CLIENT_TYPES:
        raise InvalidMessage(
            f"the challenge is signed by a certificate of type {signer.leaf.type.name}, "
            "expected that of a client"
        )
