"""A policy as the objects of a licence, in the order of the format.

    global policy      real time, restricted source ids, security level, embedding, revocation-info
                       version, rights settings, issue date, expiration, first play, domain,
                       metering, secure stop, removal date, source id, grace period, metadata
    playback policy    output levels, protections of analog video, digital audio and digital video,
                       play enablers, extended restrictions
    other rights       copy, execute, read, extended rights

An extended restriction is an object of the type it names. Its best-effort bit is not published:
this project uses the next free one. An extended right is a container that must be understood, like
other rights.

Source: the published structure of licences.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from rightsmanager.policy.grants import (
    ExtendedRestriction,
    ExtendedRight,
    OutputLevels,
    Policy,
    Protection,
)
from rightsmanager.protocol.formats.xmr import objects as xmr
from rightsmanager.protocol.formats.xmr.table import build_objects
from rightsmanager.protocol.wire import NEVER, Mid

BEST_EFFORT: Final = 4
"""The flag of an extended restriction that a client follows at best effort; a profile."""

_NO_LEVELS: Final = OutputLevels()

Objects = Iterator[xmr.XmrObject]


# Most licences of the same second have the same policy.
@lru_cache(maxsize=256)
def build_policy(policy: Policy, now: int, own_mid: Mid, domain: xmr.Domain | None = None) -> bytes:
    """Return the objects of a policy as bytes; for the arguments see `policy_objects`."""
    return build_objects(policy_objects(policy, now, own_mid, domain))


def policy_objects(
    policy: Policy, now: int, own_mid: Mid, domain: xmr.Domain | None = None
) -> tuple[xmr.XmrObject, ...]:
    """Return the objects of a policy for a licence issued now (Unix seconds).

    own_mid: the server's own metering id, which receives secure stops by default.
    domain: the domain that the licence is bound to, None for the device alone.
    """
    return xmr.GlobalPolicy(tuple(_global_objects(policy, now, own_mid, domain))), *_rights(policy)


def _global_objects(policy: Policy, now: int, own_mid: Mid, domain: xmr.Domain | None) -> Objects:
    # A published client cannot read a licence whose global policy ends with an object that it does
    # not know, so that these come before the well-known ones.
    yield from _rarely_known(policy)
    yield xmr.SecurityLevel(policy.security_level)
    yield xmr.EmbeddingBehavior(policy.embedding)
    if policy.revocation_info_version is not None:
        yield xmr.RevocationInfoVersion(policy.revocation_info_version)
    if not policy.persistent:
        yield xmr.RightsSettings()
    yield xmr.IssueDate(now)
    yield from _times(policy, now)
    if domain is not None:
        yield domain
    yield from _services(policy, own_mid)
    yield from _sources(policy)


def _times(policy: Policy, now: int) -> Objects:
    end = policy.end(now)
    if end is not None or policy.begin is not None:
        yield xmr.Expiration(policy.begin or 0, NEVER if end is None else end)
    if policy.first_play_expiration is not None:
        yield xmr.ExpireAfterFirstPlay(policy.first_play_expiration)


def _services(policy: Policy, own_mid: Mid) -> Objects:
    if policy.metering is not None:
        yield xmr.Metering(policy.metering)
    stop_mid = policy.secure_stop_mid(own_mid)
    if stop_mid is not None:
        yield xmr.SecureStop(stop_mid)


def _rarely_known(policy: Policy) -> Objects:
    if policy.real_time:
        yield xmr.RealTimeExpiration()
    if policy.restricted_source_ids:
        yield xmr.RestrictedSourceIds(policy.restricted_source_ids)


def _sources(policy: Policy) -> Objects:
    if policy.removal_date is not None:
        yield xmr.RemovalDate(policy.removal_date)
    if policy.source_id is not None:
        yield xmr.SourceId(policy.source_id)
    if policy.grace_period is not None:
        yield xmr.GracePeriod(policy.grace_period)
    for metadata in policy.metadata:
        yield xmr.PolicyMetadata(metadata.id, metadata.data)


# --- rights ---------------------------------------------------------------------------------------

_OTHER_RIGHTS: Final = (
    ("copy", xmr.CopyPolicy2),
    ("execute", xmr.ExecutePolicy),
    ("read", xmr.ReadPolicy),
)
"""The rights other than Play by field of the policy, in the order of the format."""


def _rights(policy: Policy) -> Objects:
    extended = _extended(policy.extended_restrictions)
    if policy.play:
        yield xmr.PlaybackPolicy((*_playback_objects(policy), *extended))
        extended = ()
    for name, right in _OTHER_RIGHTS:
        if getattr(policy, name):
            yield right(extended)
            extended = ()
    yield from map(_extended_right, policy.extended_rights)


def _playback_objects(policy: Policy) -> Objects:
    levels = policy.output_levels
    if levels != _NO_LEVELS:
        yield xmr.OutputProtectionLevels(
            levels.compressed_digital_video,
            levels.uncompressed_digital_video,
            levels.analog_video,
            levels.compressed_digital_audio,
            levels.uncompressed_digital_audio,
        )
    for name, container, protection in _PROTECTIONS:
        protections: tuple[Protection, ...] = getattr(policy, name)
        if protections:
            yield container(tuple(protection(each.id, each.data) for each in protections))
    if policy.play_enablers:
        yield xmr.PlayEnablers(tuple(map(xmr.PlayEnabler, policy.play_enablers)))


_PROTECTIONS: Final = (
    (
        "analog_video",
        xmr.ExplicitAnalogVideoProtections,
        xmr.ExplicitAnalogVideoProtection,
    ),
    (
        "digital_audio",
        xmr.ExplicitDigitalAudioProtections,
        xmr.ExplicitDigitalAudioProtection,
    ),
    (
        "digital_video",
        xmr.ExplicitDigitalVideoProtections,
        xmr.ExplicitDigitalVideoProtection,
    ),
)
"""Protections by field of the policy: container and class, in the order of the format."""


def _extended(restrictions: tuple[ExtendedRestriction, ...]) -> tuple[xmr.XmrObject, ...]:
    return tuple(map(_extended_restriction, restrictions))


def _extended_restriction(restriction: ExtendedRestriction) -> xmr.XmrObject:
    flags = xmr.MUST_UNDERSTAND if restriction.must_understand else 0
    if restriction.best_effort:
        flags |= BEST_EFFORT
    return xmr.Unknown(restriction.type, restriction.data, flags=flags)


def _extended_right(right: ExtendedRight) -> xmr.XmrObject:
    body = build_objects(_extended(right.restrictions))
    return xmr.Unknown(right.type, body, flags=xmr.MUST_UNDERSTAND | xmr.CONTAINER)
