"""AcquireLicense: issues licences for the KIDs of a content header.

Licence ids: the first non-persistent licence of a reply has the challenge's LicenseNonce, the next
ones the nonce plus 1, 2, …; persistent licences have random ones.

Content keys: the one that the request gives, else the one derived from the key seed that it gives,
else the stored one, else the one derived from the server's key seed.
"""

from dataclasses import replace

from rightsmanager.crypto import p256
from rightsmanager.hooks.facts import Facts
from rightsmanager.operations.content import KnownKeys
from rightsmanager.operations.context import Context, Revoked, Verified, verify_chains
from rightsmanager.operations.hook_choices import apply_choice
from rightsmanager.operations.license_record import IssuedBatch, license_facts, record_licenses
from rightsmanager.operations.license_seal import build_license
from rightsmanager.operations.request import Request
from rightsmanager.operations.tracks import find_policies
from rightsmanager.policy.decision import Decision, LicenseQuery, apply_level, decide
from rightsmanager.policy.device import Device
from rightsmanager.policy.grants import Grant
from rightsmanager.protocol.messages.challenge import LicenseChallenge, open_license_challenge
from rightsmanager.protocol.messages.response import (
    RESPONSE_ID_LENGTH,
    LicenseResponse,
    RevocationList,
    seal_license_response,
)


def acquire_license(context: Context, request: Request) -> bytes:
    """Return the reply to an AcquireLicense challenge, its licences recorded."""
    now = context.clock()
    challenge = open_license_challenge(
        request.envelope, context.server_keys, context.backend, context.reader
    )
    progress = request.progress
    progress.kids = tuple([entry.kid for entry in challenge.header.kids])
    progress.custom_data = challenge.custom_data
    revoked, keys = _look_up(context, challenge)
    device = _authenticate(context, challenge, revoked, now)
    progress.device = device.id
    progress.verified = progress.clock()
    # A licence that cannot be sealed must not be recorded.
    device_key = device.chain.leaf.encryption_key
    asked = Verified(request, challenge, device, now)
    if len(challenge.header.kids) > 1:
        keys = _find_others(context, challenge, keys)
    decision = _decide(context, asked, keys)
    progress.decided = progress.clock()
    newer_lists = context.revocations.find_newer_lists(revoked, challenge.revocation_lists)
    issued = record_licenses(context, asked, decision, keys)
    progress.recorded = progress.clock()
    progress.kids = tuple([license_.grant.kid for license_ in issued.licenses])
    return _seal(context, asked, issued, device_key, newer_lists)


def _look_up(context: Context, challenge: LicenseChallenge) -> tuple[Revoked, KnownKeys]:
    """Return the revoked certificates, and the stored keys of the header's first KID."""
    if not challenge.header.kids:
        return context.revocations.find_revoked(), {}
    kid = challenge.header.kids[0].kid
    revoked, keys = context.revocations.find_revoked_and_keys(kid)
    return revoked, {kid: keys}


def _find_others(context: Context, challenge: LicenseChallenge, keys: KnownKeys) -> KnownKeys:
    """Return the stored keys of all KIDs of the header, or of as many as are allowed."""
    others = challenge.header.kids[1 : context.options.defaults.rules.max_kids]
    with context.store.reading() as found:
        pairs = {each.kid: found.content_keys.find_pair(each.kid) for each in others}
    return {**keys, **pairs}


def _authenticate(
    context: Context, challenge: LicenseChallenge, revoked: Revoked, now: int
) -> Device:
    chains, signer = challenge.client.chains, challenge.signer
    verify_chains(context, chains, signer, revoked, now)
    return Device(
        signer.leaf.device_id,
        signer,
        chains,
        features=challenge.client.features,
        client_version=challenge.client_version,
        client_time=challenge.client_time,
    )


def _decide(context: Context, asked: Verified[LicenseChallenge], keys: KnownKeys) -> Decision:
    request, challenge = asked.request, asked.challenge
    defaults = context.options.defaults
    # No call unless a key has a track.
    for stored, swapped in keys.values():
        key = stored or swapped
        if key is not None and key.track is not None:
            defaults = replace(defaults, by_kid=find_policies(defaults, keys))
            break
    query = LicenseQuery(
        challenge.header, request.query, challenge.custom_data, asked.device, request.url
    )
    decision = decide(query, defaults, asked.now)
    if decision.refusal is None and context.hooks.is_used:
        decision = _ask_hooks(context, asked, decision)
    request.progress.warnings += decision.warnings
    if decision.refusal is not None:
        raise decision.refusal
    return decision


def _ask_hooks(context: Context, asked: Verified[LicenseChallenge], decision: Decision) -> Decision:
    """Return the decision as the hooks change it, with the content keys that they have."""
    facts = license_facts(asked)
    choice = context.hooks.decide(asked.request.progress, facts, decision.grants)
    chosen = apply_choice(decision, choice, asked.now)
    chosen = apply_level(chosen, facts.security_level, context.options.defaults.rules)
    # Before the transaction: a hook must not make others wait for its locks.
    return replace(
        chosen,
        grants=tuple(_with_hooks_key(context, facts, grant) for grant in chosen.grants),
    )


def _with_hooks_key(context: Context, facts: Facts, grant: Grant) -> Grant:
    if grant.content_key is not None or grant.key_seed is not None:
        return grant
    return replace(grant, content_key=context.hooks.find_content_key(facts, grant.kid))


def _seal(
    context: Context,
    asked: Verified[LicenseChallenge],
    issued: IssuedBatch,
    device_key: p256.PublicKey,
    newer_lists: tuple[RevocationList, ...],
) -> bytes:
    persistent = issued.is_persistent
    signing = context.signing
    is_signed = persistent or signing.always
    response = LicenseResponse(
        licenses=tuple(
            [
                build_license(context, license_, issued.roots, device_key, asked.now)
                for license_ in issued.licenses
            ]
        ),
        response_id=context.rng(RESPONSE_ID_LENGTH),
        revocation_lists=newer_lists,
        custom_data=asked.request.progress.reply_custom_data,
        transaction_id=issued.transaction_id,
        nonce=asked.challenge.nonce if persistent else None,
        signing_chain=signing.chain if is_signed else None,
    )
    return seal_license_response(response, signing.key if is_signed else None)
