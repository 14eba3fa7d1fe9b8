"""AcquireLicense: a challenge in, licences out.

Rights ids: the first non-persistent licence of a reply has the challenge's LicenseNonce, the next
ones the nonce plus 1, 2, …; persistent licences have random ones.

Content keys: the one that the request gives, else the one derived from the key seed that it gives,
else the stored one, else the one derived from the server's key seed.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from rightsmanager.admin.ledger import record_persistent
from rightsmanager.crypto import p256
from rightsmanager.crypto.keyseed import content_key
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import ServiceSpecific
from rightsmanager.hooks.calls import Hooks
from rightsmanager.hooks.facts import Event, Facts
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.operations.acknowledge_license import transaction_id_of
from rightsmanager.operations.clients import device_id, encryption_key, refuse_client
from rightsmanager.operations.content import ContentKeys, FoundKey, KnownKeys
from rightsmanager.operations.domain_binding import Asker, Binding, DomainBinder
from rightsmanager.operations.key_material import ClearKey, SealedKey, bind, chain
from rightsmanager.operations.request import Request
from rightsmanager.operations.revocation import RevocationCache, Revoked
from rightsmanager.operations.secure_stop_keys import SecureStopKeys
from rightsmanager.operations.signing import Signing
from rightsmanager.operations.streams import StreamOpener, StreamSettings
from rightsmanager.policy.decision import Decision, LicenseQuery, apply_level, decide
from rightsmanager.policy.defaults import LicenseDefaults
from rightsmanager.policy.grants import Grant, describe
from rightsmanager.policy.licenses import build_policy, policy_objects
from rightsmanager.policy.reflection import Client
from rightsmanager.protocol.formats import xmr
from rightsmanager.protocol.formats.bcert import ChainVerifier
from rightsmanager.protocol.formats.xmr.license import RIGHTS_ID_LENGTH
from rightsmanager.protocol.formats.xmr.objects import KeyType
from rightsmanager.protocol.messages.challenge import (
    ChallengeReader,
    LicenseChallenge,
    open_license_challenge,
)
from rightsmanager.protocol.messages.response import (
    RESPONSE_ID_LENGTH,
    LicenseResponse,
    RevocationList,
    seal_license_response,
)
from rightsmanager.protocol.wire import AccountId, Kid, Mid, TransactionId
from rightsmanager.store.database import Store, Transaction
from rightsmanager.store.licenses import IssuedLicense

Clock = Callable[[], int]
"""Gives the time in Unix seconds."""


@dataclass(frozen=True, slots=True)
class _PendingLicense:
    """A licence that is decided, and only has to be recorded and sealed."""

    grant: Grant
    key: FoundKey
    rights_id: bytes
    binding: Binding | None = None
    """What binds it to a domain; None for a licence of the device's own."""

    @property
    def key_type(self) -> KeyType:
        """What the content key encrypts."""
        return self.grant.key_type or self.key.key_type or KeyType.AES_CTR

    @property
    def clear(self) -> ClearKey:
        """The content key as it is to be sealed."""
        return ClearKey(self.grant.kid, self.key_type, self.key.key)

    @property
    def description(self) -> str:
        """What was granted, for the record."""
        grant = self.grant
        if not grant.is_root and grant.root_kid is None and grant.account_id is None:
            return describe(grant.policy, self.key_type)
        return describe(
            grant.policy,
            self.key_type,
            is_root=grant.is_root,
            root_kid=grant.root_kid,
            account_id=grant.account_id,
        )


@dataclass(frozen=True, slots=True)
class _IssuedBatch:
    """What stands recorded of a reply."""

    issues: tuple[_PendingLicense, ...]
    roots: Mapping[Kid, ClearKey] = field(default_factory=dict)
    """What leaves are chained to: the root licences of this reply, or earlier ones."""
    transaction_id: TransactionId | None = None
    """What the device shall acknowledge the licences under."""


@dataclass(frozen=True, slots=True)
class LicenseService:
    """Issues licences to devices whose certificate chain is trusted."""

    server_keys: Sequence[p256.PrivateKey] = field(repr=False)
    signing: Signing
    verifier: ChainVerifier
    reader: ChallengeReader
    content_keys: ContentKeys
    store: Store
    revocations: RevocationCache
    domains: DomainBinder
    defaults: LicenseDefaults
    backend: p256.Backend
    clock: Clock
    rng: Rng
    own_mid: Mid
    """The server's own metering id, which is told of stops where the request names none."""
    secure_stop_keys: SecureStopKeys
    streams: StreamSettings = field(default_factory=StreamSettings)
    hooks: Hooks = field(default_factory=lambda: Hooks(HookSet(), 0))
    acknowledge_persistent: bool = False
    """Whether replies with a persistent licence ask for an acknowledgement."""

    def acquire_license(self, request: Request) -> bytes:
        """Return the reply to an AcquireLicense challenge, its licences recorded.

        Raises a Refusal, before which nothing is stored.
        """
        now = self.clock()
        challenge = open_license_challenge(
            request.envelope, self.server_keys, self.backend, self.reader
        )
        revoked, keys = self._look_up(challenge)
        self._refuse(challenge, revoked, now)
        decision = self._decide(request, challenge, now)
        newer_lists = self.revocations.find_newer_lists(revoked, challenge.revocation_lists)
        issued = self._record(request, challenge, decision, keys, now)
        if self.hooks.is_used:
            self.hooks.on_event(_event(challenge, issued))
        return self._seal(challenge, issued, newer_lists, now)

    def _look_up(self, challenge: LicenseChallenge) -> tuple[Revoked, KnownKeys]:
        """Return what is revoked now, and in the same look the key of the header's first KID."""
        kid = challenge.header.kids[0].kid
        revoked, key = self.revocations.find_revoked_and_key(kid)
        return revoked, {kid: key}

    def _refuse(self, challenge: LicenseChallenge, revoked: Revoked, now: int) -> None:
        refuse_client(self.verifier, challenge.client.chains, challenge.signer, revoked, now)
        # What cannot be sealed must not be recorded.
        encryption_key(challenge.signer.leaf)

    def _decide(self, request: Request, challenge: LicenseChallenge, now: int) -> Decision:
        client = Client(challenge.signer, challenge.client_version, challenge.client_time)
        asked = LicenseQuery(
            challenge.header, request.query, challenge.custom_data, client, request.url
        )
        decision = decide(asked, self.defaults, now)
        if decision.refusal is None and self.hooks.is_used:
            decision = self._ask_operator(_facts(request, challenge), decision)
        request.warnings.extend(decision.warnings)
        if decision.refusal is not None:
            raise decision.refusal
        return decision

    def _ask_operator(self, facts: Facts, decision: Decision) -> Decision:
        """Return what the operator's own logic makes of a decision, with the keys that it has."""
        self.hooks.authorise(facts)
        grants = self.hooks.choose_grants(facts, decision.grants)
        chosen = apply_level(
            replace(decision, grants=grants), facts.security_level, self.defaults.rules
        )
        return replace(
            chosen, grants=tuple(self._with_operators_key(facts, grant) for grant in chosen.grants)
        )

    def _with_operators_key(self, facts: Facts, grant: Grant) -> Grant:
        # Before the transaction: a hook must not make others wait for its locks.
        if grant.content_key is not None or grant.key_seed is not None:
            return grant
        return replace(grant, content_key=self.hooks.find_content_key(facts, grant.kid))

    def _opening(
        self, request: Request, challenge: LicenseChallenge, decision: Decision
    ) -> StreamOpener | None:
        """Return what opens the streams of licences with secure stop, None where there are none."""
        if not any(grant.policy.secure_stop for grant in decision.grants):
            return None
        # Before the transaction, as for keys: a hook must not make others wait for its locks.
        find_limit = partial(self.hooks.find_stream_limit, _facts(request, challenge))
        device = device_id(challenge.signer.leaf)
        return self.streams.opening(decision.grants, device, challenge.client_time, find_limit)

    def _record(
        self,
        request: Request,
        challenge: LicenseChallenge,
        decision: Decision,
        keys: KnownKeys,
        now: int,
    ) -> _IssuedBatch:
        grants = decision.grants
        if not grants:
            return _IssuedBatch(())
        opening = self._opening(request, challenge, decision)
        is_single = self._is_single(decision)
        with self.store.transaction(single=is_single) as transaction:
            bindings = self._bind(transaction, request, challenge, grants)
            issues = [
                _PendingLicense(
                    grant,
                    self._find_key(transaction, grant, keys),
                    rights_id,
                    bindings.get(grant.account_id),
                )
                for grant, rights_id in zip(
                    grants, self._rights_ids(challenge.nonce, grants), strict=True
                )
            ]
            rows = _rows(request, challenge, issues, now)
            recorded = transaction.licenses.record(rows)
            roots, transaction_id = (
                ({}, None)
                if is_single
                else self._record_more(transaction, decision, issues, rows, opening)
            )
        return _IssuedBatch(
            tuple(
                issue if issue.rights_id == rights_id else replace(issue, rights_id=rights_id)
                for issue, rights_id in zip(issues, recorded, strict=True)
            ),
            roots,
            transaction_id,
        )

    def _record_more(
        self,
        transaction: Transaction,
        decision: Decision,
        issues: Sequence[_PendingLicense],
        rows: Sequence[IssuedLicense],
        opening: StreamOpener | None,
    ) -> tuple[Mapping[Kid, ClearKey], TransactionId | None]:
        """Record what there is beside the licences; return roots and transaction id, if any."""
        roots = self._roots(transaction, rows[0].device, issues)
        transaction_id = self._transaction_id(rows[0].request, decision)
        if transaction_id is not None:
            transaction.acknowledgements.record_transaction(
                transaction_id, rows[0].device, rows[0].request
            )
        granted = list(zip(rows, decision.grants, strict=True))
        record_persistent(transaction, granted, transaction_id)
        if opening is not None:
            opening.open(transaction, granted)
        return roots, transaction_id

    def _bind(
        self,
        transaction: Transaction,
        request: Request,
        challenge: LicenseChallenge,
        grants: Sequence[Grant],
    ) -> Mapping[AccountId | None, Binding]:
        """Return what binds licences to each account's domain that grants name."""
        accounts = {grant.account_id for grant in grants if grant.account_id is not None}
        if not accounts:
            return {}
        device = device_id(challenge.signer.leaf)
        asker = Asker(device, challenge.client.chains, request.url)
        return {
            account_id: self.domains.bind(transaction, account_id, asker)
            for account_id in sorted(accounts, key=lambda each: each.raw)
        }

    def _is_single(self, decision: Decision) -> bool:
        """Return whether one licence is all that there is to record."""
        grants = decision.grants
        return (
            len(grants) == 1
            and not grants[0].is_root
            and grants[0].root_kid is None
            and grants[0].account_id is None
            and decision.transaction_id is None
            and not grants[0].policy.persistent
            and not grants[0].policy.secure_stop
        )

    def _roots(
        self, transaction: Transaction, device: str, issues: Sequence[_PendingLicense]
    ) -> Mapping[Kid, ClearKey]:
        """Return the roots that the leaves need, those of this reply kept for later leaves."""
        roots = {issue.grant.kid: issue.clear for issue in issues if issue.grant.is_root}
        for root in roots.values():
            sealed = self.content_keys.seal_root(root.kid, root.key, self.rng)
            transaction.roots.record(device, root.kid, sealed)
        for issue in issues:
            kid = issue.grant.root_kid
            if kid is not None and kid not in roots:
                roots[kid] = self._earlier_root(transaction, device, kid)
        return roots

    def _earlier_root(self, transaction: Transaction, device: str, kid: Kid) -> ClearKey:
        sealed = transaction.roots.find(device, kid)
        if sealed is None:
            raise ServiceSpecific(
                f"rootid is {kid.text}, expected the kid of a group with isroot:true in the same "
                "request or of a root licence that the device got before"
            )
        return ClearKey(kid, KeyType.AES_CTR, self.content_keys.open_root(kid, sealed))

    def _find_key(self, transaction: Transaction, grant: Grant, keys: KnownKeys) -> FoundKey:
        if grant.content_key is not None:
            return FoundKey(grant.content_key, None)
        if grant.key_seed is not None:
            return FoundKey(content_key(grant.key_seed, grant.kid.raw), None)
        return self.content_keys.find(transaction, grant.kid, keys)

    def _transaction_id(self, request: bytes, decision: Decision) -> TransactionId | None:
        """Return under what the licences shall be acknowledged, None for not at all."""
        if decision.transaction_id is not None:
            return decision.transaction_id
        persistent = any(grant.policy.persistent for grant in decision.grants)
        return transaction_id_of(request) if self.acknowledge_persistent and persistent else None

    def _rights_ids(self, nonce: bytes, grants: Sequence[Grant]) -> Iterator[bytes]:
        count = 0
        for grant in grants:
            if grant.policy.persistent:
                yield self.rng(RIGHTS_ID_LENGTH)
            else:
                yield xmr.rights_id_after(nonce, count)
                count += 1

    def _seal(
        self,
        challenge: LicenseChallenge,
        issued: _IssuedBatch,
        newer_lists: tuple[RevocationList, ...],
        now: int,
    ) -> bytes:
        persistent = any(issue.grant.policy.persistent for issue in issued.issues)
        device_key = encryption_key(challenge.signer.leaf)
        response = LicenseResponse(
            licenses=tuple(
                self._license(issue, self._seal_key(issue, issued.roots, device_key), now)
                for issue in issued.issues
            ),
            response_id=self.rng(RESPONSE_ID_LENGTH),
            revocation_lists=newer_lists,
            transaction_id=issued.transaction_id,
            nonce=challenge.nonce if persistent else None,
            signing_chain=self.signing.chain_for(persistent=persistent),
        )
        return seal_license_response(response, self.signing.key_for(persistent=persistent))

    def _license(self, issue: _PendingLicense, sealed: SealedKey, now: int) -> bytes:
        body = self._build_policy(issue, now) + xmr.build_objects((sealed.material,))
        return xmr.sign_objects(issue.rights_id, body, sealed.integrity_key)

    def _build_policy(self, issue: _PendingLicense, now: int) -> bytes:
        policy = issue.grant.policy
        domain = None if issue.binding is None else issue.binding.domain
        if not policy.secure_stop:
            return build_policy(policy, now, self.own_mid, domain)
        objects = policy_objects(policy, now, self.own_mid, domain)
        return xmr.build_objects(
            self.secure_stop_keys.add_key(objects, issue.grant.kid, issue.key.key)
        )

    def _seal_key(
        self, issue: _PendingLicense, roots: Mapping[Kid, ClearKey], device_key: p256.PublicKey
    ) -> SealedKey:
        if issue.grant.root_kid is None:
            key = device_key if issue.binding is None else issue.binding.key
            return bind(issue.clear, key, self.backend, self.rng)
        return chain(issue.clear, roots[issue.grant.root_kid], self.rng)


def _facts(request: Request, challenge: LicenseChallenge) -> Facts:
    leaf = challenge.signer.leaf
    return Facts(
        device=device_id(leaf),
        security_level=leaf.security_level,
        client_version=challenge.client_version,
        kids=tuple(entry.kid for entry in challenge.header.kids),
        custom_data=challenge.custom_data,
        url=request.url,
        query=request.query,
        headers=request.headers,
        remote=request.remote,
    )


def _event(challenge: LicenseChallenge, issued: _IssuedBatch) -> Event:
    kids = tuple(issue.grant.kid for issue in issued.issues)
    return Event("AcquireLicense", device_id(challenge.signer.leaf), kids)


def _rows(
    request: Request, challenge: LicenseChallenge, issues: Sequence[_PendingLicense], now: int
) -> list[IssuedLicense]:
    device = device_id(challenge.signer.leaf)
    asked = hashlib.sha256(
        b"".join((device.encode(), challenge.digest, request.query.encode()))
    ).digest()
    return [
        IssuedLicense(
            device=device,
            request=asked,
            ordinal=ordinal,
            kid=issue.grant.kid,
            license_id=issue.rights_id,
            policy=issue.description,
            issued_at=now,
        )
        for ordinal, issue in enumerate(issues)
    ]
