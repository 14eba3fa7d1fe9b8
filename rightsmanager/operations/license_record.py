"""Records the licences of one reply, and what depends on them, in one transaction.

A request that is sent again finds its rows: it gets licences with the ids of the first time, and
changes nothing. It is the same request if challenge and granted licences are the same, however its
query is written. In addition to licences a reply may have root keys, which later leaves are chained
to, a transaction id to acknowledge, entries of the ledger, and streams.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rightsmanager.crypto.keyseed import content_key
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import ServiceSpecific
from rightsmanager.hooks.facts import Facts, StreamHolder
from rightsmanager.operations.acknowledge_license import transaction_id_of
from rightsmanager.operations.content import FoundKey, KnownKeys
from rightsmanager.operations.context import Context, Verified, build_facts
from rightsmanager.operations.domain_binding import Binding, bind_to_domain
from rightsmanager.operations.license_seal import ClearKey, PendingLicense
from rightsmanager.operations.streams import StreamOpener
from rightsmanager.policy.capabilities import refuse_undeclared_cbc
from rightsmanager.policy.decision import Decision
from rightsmanager.policy.device import Device
from rightsmanager.policy.grants import Grant
from rightsmanager.protocol.formats import xmr
from rightsmanager.protocol.formats.xmr.license import RIGHTS_ID_LENGTH
from rightsmanager.protocol.formats.xmr.objects import KeyType
from rightsmanager.protocol.messages.challenge import LicenseChallenge
from rightsmanager.protocol.messages.exchange import ClientStatement
from rightsmanager.protocol.wire import AccountId, Kid, TransactionId
from rightsmanager.store.database import Transaction
from rightsmanager.store.ledger import LedgerEntry
from rightsmanager.store.licenses import IssuedLicense


@dataclass(frozen=True, slots=True)
class IssuedBatch:
    """The recorded licences of one reply."""

    licenses: tuple[PendingLicense, ...]
    roots: Mapping[Kid, ClearKey] = field(default_factory=dict)
    """The root keys that leaves are chained to, of this reply or of earlier ones."""
    transaction_id: TransactionId | None = None
    """The transaction id to acknowledge, if any."""
    is_persistent: bool = False
    """True if at least one licence is persistent."""


def record_licenses(
    context: Context,
    asked: Verified[LicenseChallenge],
    decision: Decision,
    keys: KnownKeys,
) -> IssuedBatch:
    """Record the licences of a decision; `keys` are stored content keys that are known already.

    Raises ServiceSpecific, or a domain's Refusal, with nothing recorded.
    """
    if not decision.grants:
        return IssuedBatch(())
    if not context.options.replay_window_seconds and _is_single(decision):
        return _record_single(context, asked, decision, keys)
    return _record_several(context, asked, decision, keys)


def _record_single(
    context: Context, asked: Verified[LicenseChallenge], decision: Decision, keys: KnownKeys
) -> IssuedBatch:
    """Record a licence that needs nothing but its own row."""
    (grant,) = decision.grants
    with context.store.transaction(single=True) as transaction:
        key = _find_key(context, transaction, grant, keys)
        license_ = PendingLicense(grant, key, asked.challenge.nonce)
        # Most keys are for AES-CTR: no call for them.
        if KeyType.AES_CBC in (grant.key_type, key.key_type):
            _refuse_cbc(context, asked, license_)
        if key.warning is not None:
            asked.request.progress.warnings += (key.warning,)
        recorded = transaction.licenses.record(_rows(context, asked, decision, [license_]))
    return IssuedBatch(_with_ids([license_], recorded))


def _refuse_cbc(
    context: Context, asked: Verified[LicenseChallenge], license_: PendingLicense
) -> None:
    rules = context.options.defaults.rules
    refuse_undeclared_cbc(license_.grant.kid, license_.key_type, asked.device, rules)


def _record_several(
    context: Context,
    asked: Verified[LicenseChallenge],
    decision: Decision,
    keys: KnownKeys,
) -> IssuedBatch:
    grants = decision.grants
    streams = _stream_opener(context, asked, decision)
    with context.store.transaction() as transaction:
        _refuse_replay(context, transaction, asked)
        bindings = _bind(context, transaction, asked, grants)
        ids = _license_ids(asked.challenge.nonce, grants, context.rng)
        licenses = [
            PendingLicense(
                grant,
                _find_key(context, transaction, grant, keys),
                license_id,
                bindings.get(grant.account_id),
            )
            for grant, license_id in zip(grants, ids, strict=True)
        ]
        for license_ in licenses:
            _refuse_cbc(context, asked, license_)
            if license_.key.warning is not None:
                asked.request.progress.warnings += (license_.key.warning,)
        rows = _rows(context, asked, decision, licenses)
        recorded = transaction.licenses.record(rows)
        roots = _find_roots(context, transaction, asked.device, licenses)
        transaction_id = _record_transaction(context, transaction, rows, decision)
        _record_persistent(transaction, rows, decision, transaction_id)
        if streams is not None:
            streams.open(transaction, list(zip(rows, grants, strict=True)))
    persistent = any(grant.policy.persistent for grant in grants)
    return IssuedBatch(_with_ids(licenses, recorded), roots, transaction_id, persistent)


def _refuse_replay(
    context: Context, transaction: Transaction, asked: Verified[LicenseChallenge]
) -> None:
    """Raise ServiceSpecific for a challenge of the window, if settings say so; record another."""
    window, nonce = context.options.replay_window_seconds, asked.challenge.nonce
    if window and not transaction.nonces.record(asked.device.id, nonce, asked.now, window):
        raise ServiceSpecific(
            "the challenge was answered before, expected a new one: license.replay is refuse"
        )


def _is_single(decision: Decision) -> bool:
    """Return True if the row of one licence is all that there is to record."""
    if len(decision.grants) != 1:
        return False
    (grant,) = decision.grants
    return not (
        grant.is_root
        or grant.root_kid is not None
        or grant.account_id is not None
        or decision.transaction_id is not None
        or grant.policy.persistent
        or grant.policy.secure_stop
    )


def _with_ids(
    licenses: Sequence[PendingLicense], recorded: Sequence[bytes]
) -> tuple[PendingLicense, ...]:
    """Return the licences with the ids of the first time, if the request is a repeat."""
    return tuple(
        [
            license_
            if license_.license_id == license_id
            else replace(license_, license_id=license_id)
            for license_, license_id in zip(licenses, recorded, strict=True)
        ]
    )


def _stream_opener(
    context: Context, asked: Verified[LicenseChallenge], decision: Decision
) -> StreamOpener | None:
    """Return the opener of the streams of licences with secure stop, None without any."""
    grants = [grant for grant in decision.grants if grant.policy.secure_stop]
    if not grants:
        return None
    facts = license_facts(asked)

    def find_holder(grant: Grant) -> StreamHolder:
        user = decision.stream_user or context.hooks.find_stream_user(facts, grant)
        return StreamHolder(grant.account_id, facts.device, user)

    def find_limit(holder: StreamHolder) -> int | None:
        if decision.stream_limit is not None:
            return decision.stream_limit
        return context.hooks.find_stream_limit(facts, holder)

    # Before the transaction: a hook must not make others wait for its locks.
    holders = {grant: find_holder(grant) for grant in grants}
    return context.options.streams.opener(holders, asked.challenge.client_time, find_limit)


def _bind(
    context: Context,
    transaction: Transaction,
    asked: Verified[LicenseChallenge],
    grants: Sequence[Grant],
) -> Mapping[AccountId | None, Binding]:
    """Return the binding to the domain of each account that grants name."""
    accounts = {grant.account_id for grant in grants if grant.account_id is not None}
    device, url = asked.device, asked.request.url
    asked.request.progress.account_id = min(accounts, default=None, key=lambda each: each.raw)
    return {
        account_id: bind_to_domain(context, transaction, account_id, device, url)
        # In a fixed order, to avoid deadlock.
        for account_id in sorted(accounts, key=lambda each: each.raw)
    }


def _find_key(
    context: Context, transaction: Transaction, grant: Grant, keys: KnownKeys
) -> FoundKey:
    if grant.content_key is not None:
        return FoundKey(grant.content_key, None)
    if grant.key_seed is not None:
        return FoundKey(content_key(grant.key_seed, grant.kid.raw), None)
    return context.content_keys.find(transaction, grant.kid, keys)


def _license_ids(nonce: bytes, grants: Sequence[Grant], rng: Rng) -> Iterator[bytes]:
    count = 0
    for grant in grants:
        if grant.policy.persistent:
            yield rng(RIGHTS_ID_LENGTH)
        else:
            yield xmr.rights_id_after(nonce, count)
            count += 1


def _rows(
    context: Context,
    asked: Verified[LicenseChallenge],
    decision: Decision,
    licenses: Sequence[PendingLicense],
) -> list[IssuedLicense]:
    """Return the rows of licences, whose request is the challenge and what it is granted.

    The query's text does not matter: otherwise one challenge would get any number of licences, by
    other spellings and another order of groups.
    """
    device = asked.device.id
    # Relative dates, and those of hooks, differ each second: a repeat has others.
    is_undated = decision.has_relative_dates or context.hooks.is_used
    policies, identities = [], []
    for license_ in licenses:
        policy = license_.description
        policies.append(policy)
        granted = license_.undated_description if is_undated else policy
        identities.append(license_.grant.kid.raw + granted.encode())
    order = sorted(range(len(licenses)), key=identities.__getitem__)
    ranks = dict(zip(order, range(len(order)), strict=True))
    digest = hashlib.sha256(device.encode() + asked.challenge.digest)
    for index in order:
        digest.update(hashlib.sha256(identities[index]).digest())
    request = digest.digest()
    return [
        IssuedLicense(
            device=device,
            request=request,
            ordinal=ranks[index],
            kid=license_.grant.kid,
            license_id=license_.license_id,
            policy=policies[index],
            issued_at=asked.now,
        )
        for index, license_ in enumerate(licenses)
    ]


def _find_roots(
    context: Context,
    transaction: Transaction,
    device: Device,
    licenses: Sequence[PendingLicense],
) -> Mapping[Kid, ClearKey]:
    """Return the root keys that the leaves need, those of this reply recorded for later leaves."""
    roots = {each.grant.kid: each.clear for each in licenses if each.grant.is_root}
    for root in roots.values():
        ciphertext = context.content_keys.seal_root(root.kid, root.key, context.rng)
        transaction.roots.record(device.id, root.kid, ciphertext)
    for each in licenses:
        kid = each.grant.root_kid
        if kid is not None and kid not in roots:
            roots[kid] = _earlier_root(context, transaction, device, kid)
    return roots


def _earlier_root(context: Context, transaction: Transaction, device: Device, kid: Kid) -> ClearKey:
    ciphertext = transaction.roots.find(device.id, kid)
    if ciphertext is None:
        raise ServiceSpecific(
            f"rootid is {kid.text}, expected the kid of a group with isroot:true in the same "
            "request or of a root licence that the device got before"
        )
    return ClearKey(kid, KeyType.AES_CTR, context.content_keys.open_root(kid, ciphertext))


def _record_transaction(
    context: Context,
    transaction: Transaction,
    rows: Sequence[IssuedLicense],
    decision: Decision,
) -> TransactionId | None:
    """Record the transaction id that the licences are acknowledged with, and return it, if any."""
    transaction_id = decision.transaction_id
    if transaction_id is None:
        persistent = any(grant.policy.persistent for grant in decision.grants)
        if not (persistent and context.options.acknowledge_persistent):
            return None
        transaction_id = transaction_id_of(rows[0].request)
    transaction.acknowledgements.record_transaction(transaction_id, rows[0].device, rows[0].request)
    return transaction_id


def _record_persistent(
    transaction: Transaction,
    rows: Sequence[IssuedLicense],
    decision: Decision,
    transaction_id: TransactionId | None,
) -> None:
    """Enter the persistent licences into the ledger."""
    for row, grant in zip(rows, decision.grants, strict=True):
        if grant.policy.persistent:
            transaction.ledger.record(
                LedgerEntry(
                    request=row.request,
                    ordinal=row.ordinal,
                    device=row.device,
                    kid=row.kid,
                    license_id=row.license_id,
                    transaction_id=transaction_id,
                    issued_at=row.issued_at,
                    expires_at=grant.policy.end(row.issued_at),
                )
            )


def license_facts(asked: Verified[LicenseChallenge]) -> Facts:
    """Return the facts of a verified request that hooks receive."""
    challenge = asked.challenge
    client = ClientStatement(challenge.client_version, challenge.client_time, challenge.custom_data)
    return replace(
        build_facts(asked.request, asked.device, client),
        kids=tuple(entry.kid for entry in challenge.header.kids),
        header=challenge.header,
    )
