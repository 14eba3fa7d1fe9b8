"""Builds the values that a server and the operator's commands share from the settings.

Knows the keyring, the store, content keys, domains and policies, and neither SOAP nor pages:
a command imports this module and never `app`.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from rightsmanager.crypto.client_certificates import Authorities, parse_authorities
from rightsmanager.crypto.random import Rng
from rightsmanager.crypto.recipients import OwnRecipient, parse_own_recipient
from rightsmanager.crypto.rsa_signatures import RsaSigner, parse_signer
from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.files import is_file
from rightsmanager.journal.journal import Journal, counts_folder, find_database
from rightsmanager.journal.journal import open_journal as open_journal_of
from rightsmanager.journal.recorder import Note, Recorder, RecorderOptions
from rightsmanager.keyring import Keyring, KeyringSources
from rightsmanager.keyring import load as load_keyring
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.keyring.identities import ROOT, STORAGE
from rightsmanager.operations.access import Access, AccessMode
from rightsmanager.operations.content import ContentKeys
from rightsmanager.operations.domain_authority import DomainAuthority, DomainDefaults
from rightsmanager.operations.packaging_keys import PackagingOptions
from rightsmanager.operations.streams import StreamSettings
from rightsmanager.policy.defaults import DefaultDomain, LicenseDefaults
from rightsmanager.policy.grants import OutputLevels, Policy
from rightsmanager.policy.rules import (
    AboveLevel,
    AesCbc,
    OtherKids,
    RemovalDateConflicts,
    Rules,
    SwappedKid,
    UnknownParameters,
)
from rightsmanager.policy.tracks import with_parts
from rightsmanager.protocol.formats.wrmheader import Version
from rightsmanager.protocol.messages.operations import Role
from rightsmanager.protocol.wire import AccountId, ServiceId
from rightsmanager.settings import (
    DATABASE_FILE,
    KeyringSettings,
    Settings,
    TrackSettings,
    refuse_api_token,
)
from rightsmanager.store.database import Store, StoreFailed
from rightsmanager.store.database import open_store as open_database
from rightsmanager.store.journal.writing import Limits
from rightsmanager.store.schema import find_revision, newest_revision

_DAY_SECONDS: Final = 86_400
_DAY_MS: Final = 1000 * _DAY_SECONDS
RecordMode = Literal["off", "faults", "all"]
"""The requests that the journal has."""

_ANOTHER_FOLDER: Final = "use the keyring folder it was made with, or another database"


def open_keyring(settings: Settings, passphrase: bytes | None) -> Keyring:
    """Return the keyring of the data folder and of the files that the settings name."""
    return load_keyring(KeyFiles(settings.data, passphrase), _keyring_sources(settings.keyring))


def open_journal(settings: Settings) -> Journal:
    """Return the journal, for its readers."""
    return open_journal_of(settings.data, settings.effective_database_url)


def recorded_requests(settings: Settings, *, is_loopback: bool) -> RecordMode:
    """Return the requests that the journal has."""
    record = settings.journal.record
    if record == "auto":
        return "all" if is_loopback else "faults"
    return record


def make_recorder(settings: Settings, note: Note, *, is_loopback: bool) -> Recorder | None:
    """Return the observer that writes the journal, None if it is off; see Note for `note`."""
    record = recorded_requests(settings, is_loopback=is_loopback)
    if record == "off":
        return None
    options = recorder_options(settings, counts_folder(settings.data))
    database = find_database(settings.data, settings.effective_database_url)
    return Recorder(database, replace(options, faults_only=record == "faults"), note)


def recorder_options(settings: Settings, folder: Path) -> RecorderOptions:
    """Return the options of a recorder of all requests, with the folder of its counts."""
    given = settings.journal
    return RecorderOptions(
        keep_bodies=given.bodies,
        max_body=given.max_body,
        max_queue=given.max_queue,
        limits=Limits(given.max_entries, given.max_bytes, given.max_age_days * _DAY_MS),
        folder=folder,
    )


def served_roles(settings: Settings) -> frozenset[Role]:
    """Return the roles whose operations the server answers."""
    return frozenset(map(Role, settings.server.roles))


def open_store(settings: Settings) -> Store:
    """Return the store that the settings name; the caller closes it."""
    return open_database(settings.effective_database_url, settings.database_seconds)


def refuse_other_keyring(store: Store, keyring: Keyring) -> None:
    """Raise InternalError if the database was made with another keyring; a new one is bound to it.

    A database that is away is not refused: it may be back when it is needed.
    """
    try:
        with store.reading() as found:
            recorded = found.fingerprints.find_all()
        if not recorded:
            with store.transaction() as transaction:
                transaction.fingerprints.record(keyring.fingerprints)
                # Another process may have been first, with another keyring.
                recorded = transaction.fingerprints.find_all()
    except StoreFailed:
        return
    for name, fingerprint in keyring.fingerprints.items():
        if recorded.get(name) != fingerprint:
            raise InternalError(
                f"the database was made with another keyring ({recorded.get(name)} {name}), this "
                f"one is {fingerprint}: {_ANOTHER_FOLDER}"
            )


def refuse_lost_keyring(settings: Settings, files: KeyFiles) -> None:
    """Raise InternalError if the database has a keyring that the data folder lacks.

    Raised before `create` would make another one, which cannot decrypt the database's keys.
    """
    is_missing = not is_file(files.key_file(STORAGE.name))
    has_database = bool(settings.database_url) or is_file(settings.data / DATABASE_FILE)
    if not (is_missing and has_database):
        return
    # `upgrade` refuses any other revision.
    if find_revision(settings.effective_database_url) == newest_revision():
        store = open_store(settings)
        with store.reading() as found:
            recorded = found.fingerprints.find_all()
        store.close()
        if recorded:
            raise InternalError(
                f"the database was made with the keyring {recorded.get(ROOT.name)} (root), which "
                f"{files.private} does not have: {_ANOTHER_FOLDER}"
            )


def content_keys(settings: Settings, keyring: Keyring) -> ContentKeys:
    """Return the stored and the seed's content keys; raises InvalidMessage for an invalid seed."""
    try:
        seed = base64.b64decode(settings.license.key_seed, validate=True)
    except ValueError:
        raise InvalidMessage("license.key_seed is not base64") from None
    return ContentKeys(keyring.storage_key, seed, SwappedKid(settings.license.swapped_kid))


def packaging_access(
    settings: Settings, clock: Callable[[], int], *, is_loopback: bool = False
) -> Access:
    """Return the rule by which packagers get keys in the clear.

    is_loopback: whether the server listens on loopback alone. Raises InternalError for an
    unusable packaging.client_ca, and for a certificate_header that is not trusted.
    """
    packaging = settings.packaging
    is_by_certificate = packaging.access == "certificate"
    header = packaging.certificate_header.lower()
    if header and not settings.server.trust_forwarded:
        raise InternalError(
            "packaging.certificate_header is set and server.trust_forwarded is not, expected both"
        )
    return Access(
        AccessMode(packaging.access),
        packaging.token.get_secret_value(),
        settings.server.public_url,
        is_loopback,
        frozenset(name.lower() for name in packaging.hosts),
        _read_authorities(packaging.client_ca) if is_by_certificate else Authorities(),
        header,
        clock,
    )


def make_refuse_signers(
    settings: Settings, clock: Callable[[], int]
) -> Callable[[Sequence[bytes]], None]:
    """Return the rule for the signers of CPIX requests; raises InternalError."""
    if not settings.packaging.signed_requests:
        return lambda _signers: None
    authorities = _read_authorities(settings.packaging.client_ca)

    def refuse_signers(signers: Sequence[bytes]) -> None:
        if not signers:
            raise InvalidMessage(
                "the CPIX document is not signed, expected a signature (packaging.signed_requests)"
            )
        for signer in signers:
            authorities.refuse_foreign(signer, clock())

    return refuse_signers


def packaging_signer(settings: Settings) -> RsaSigner | None:
    """Return the signer of CPIX documents, None for none; raises InternalError."""
    path = settings.packaging.signing_file
    return parse_signer(_read_packaging("signing_file", path)) if path else None


def packaging_recipient(settings: Settings) -> OwnRecipient | None:
    """Return the key that opens encrypted CPIX requests, None for none; raises InternalError."""
    path = settings.packaging.recipient_file
    return parse_own_recipient(_read_packaging("recipient_file", path)) if path else None


def _read_authorities(path: str) -> Authorities:
    return parse_authorities(_read_packaging("client_ca", path))


def _read_packaging(name: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InternalError(f"packaging.{name} {path}: {error.strerror}") from None


def packaging_options(settings: Settings) -> PackagingOptions:
    """Return the form of the keys and headers that packagers get."""
    packaging = settings.packaging
    return PackagingOptions(
        packaging.key_period_seconds,
        Version(packaging.header_version),
        packaging.algid.lower(),
        packaging.checksum,
    )


def replay_window(settings: Settings) -> int:
    """Return the seconds within which a challenge is answered once, 0 for no such limit."""
    given = settings.license
    return given.replay_window_seconds if given.replay == "refuse" else 0


def stream_settings(settings: Settings) -> StreamSettings:
    """Return the limits on streams that are open at once."""
    streams = settings.streams
    return StreamSettings(
        max_per_account=streams.max_per_account,
        max_per_device=streams.max_per_device,
        lifetime_seconds=streams.lifetime_seconds,
    )


def domain_defaults(settings: Settings) -> DomainDefaults:
    """Return the defaults of new domains; raises InvalidMessage for an invalid id."""
    domain = settings.domain
    account = domain.default_account
    return DomainDefaults(
        service_id=ServiceId.parse(domain.service_id),
        first_use=domain.accounts == "first-use",
        limit=domain.max_members,
        friendly_name=domain.friendly_name,
        url=domain.url or settings.server.public_url,
        help_url=domain.help_url,
        default_account=AccountId.parse(account) if account else None,
        revision_seconds=domain.revision_days * _DAY_SECONDS,
    )


def domain_authority(settings: Settings, keyring: Keyring, rng: Rng) -> DomainAuthority:
    """Return the authority that creates domains; raises InvalidMessage for an invalid id."""
    return DomainAuthority(
        keyring.domain_issuer, domain_defaults(settings), keyring.storage_key, rng
    )


def default_domain(terms: DomainDefaults) -> DefaultDomain:
    """Return the domain to bind to when the request names no account."""
    return DefaultDomain(terms.service_id, terms.default_account)


def license_defaults(settings: Settings) -> LicenseDefaults:
    """Return everything that a server adds to a request for licences."""
    given = settings.license
    return LicenseDefaults(
        default_policy(settings),
        default_domain(domain_defaults(settings)),
        Rules(
            unknown_parameters=UnknownParameters(given.unknown_parameters),
            above_level=AboveLevel(given.above_level),
            removal_date_conflicts=RemovalDateConflicts(given.removal_date_conflicts),
            other_kids=OtherKids(given.other_kids),
            aes_cbc=AesCbc(given.aes_cbc),
            max_kids=given.max_kids,
            max_clock_difference_seconds=given.max_clock_difference_seconds,
        ),
        with_parts({name: _track_policy(settings, each) for name, each in settings.tracks.items()}),
    )


def default_policy(settings: Settings) -> Policy:
    """Return the policy of a licence whose request names no parameter."""
    policy = settings.policy
    return Policy(
        security_level=policy.security_level,
        persistent=policy.persistent,
        play=policy.play,
        valid_for=policy.valid_for_seconds,
        output_levels=OutputLevels(
            policy.compressed_digital_video,
            policy.uncompressed_digital_video,
            policy.analog_video,
            policy.compressed_digital_audio,
            policy.uncompressed_digital_audio,
        ),
    )


def _track_policy(settings: Settings, track: TrackSettings) -> Policy:
    """Return the policy of a track: that of all licences with the track's own settings."""
    given = track.model_dump(exclude_none=True)
    policy = settings.policy.model_copy(update=given)
    return default_policy(settings.model_copy(update={"policy": policy}))


def api_token(settings: Settings) -> str:
    """Return the API's token of the settings, empty for none.

    Raises InternalError if its file holds no valid one.
    """
    api = settings.api
    if not api.token_file:
        return api.token.get_secret_value()
    try:
        token = Path(api.token_file).read_text("ascii").split("\n", 1)[0].strip()
        refuse_api_token(token)
    except OSError as error:
        raise InternalError(f"api.token_file cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InternalError(f"api.token_file: {error}") from None
    return token


def _keyring_sources(settings: KeyringSettings) -> KeyringSources:
    return KeyringSources(
        trust_anchors=tuple(Path(file) for file in settings.trust_anchors),
        server_keys=tuple(Path(file) for file in settings.server_keys),
        signing_key=Path(settings.signing_key) if settings.signing_key else None,
        signing_chain=Path(settings.signing_chain) if settings.signing_chain else None,
    )
