"""What a grant says, as the objects of a licence in the order of the format."""

from collections.abc import Iterator
from functools import lru_cache

from rightsmanager.policy.grants import OutputLevels, Policy
from rightsmanager.protocol.xmr import objects as xmr


# Most licences of the same second say the same.
@lru_cache(maxsize=256)
def policy_objects(policy: Policy, now: int) -> tuple[xmr.XmrObject, ...]:
    """Return the objects of a policy for a licence issued now (Unix seconds)."""
    global_policy = xmr.GlobalPolicy(tuple(_global_objects(policy, now)))
    if not policy.play:
        return (global_policy,)
    return global_policy, xmr.PlaybackPolicy(tuple(_playback_objects(policy)))


def _global_objects(policy: Policy, now: int) -> Iterator[xmr.XmrObject]:
    yield xmr.SecurityLevel(policy.security_level)
    yield xmr.EmbeddingBehavior()
    if not policy.persistent:
        yield xmr.RightsSettings()
    yield xmr.IssueDate(now)
    end = policy.end(now)
    if end is not None:
        yield xmr.Expiration(0, end)


def _playback_objects(policy: Policy) -> Iterator[xmr.XmrObject]:
    levels = policy.output_levels
    if levels != OutputLevels():
        yield xmr.OutputProtectionLevels(
            levels.compressed_digital_video,
            levels.uncompressed_digital_video,
            levels.analog_video,
            levels.compressed_digital_audio,
            levels.uncompressed_digital_audio,
        )
