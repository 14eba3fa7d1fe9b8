"""Policies by track: the kinds of streams of a program whose keys have a policy of their own.

A packager's request names the kind of streams that a key encrypts, in words of its own. The names
of kinds that packagers divide further have the policy of the whole kind, unless they have one.

Source: the presets of SPEKE 2.0 and the track types of Widevine's Common Encryption API.
"""

from collections.abc import Mapping
from typing import Final

from rightsmanager.policy.grants import Policy

KINDS: Final = {
    "hd1": "hd",
    "hd2": "hd",
    "uhd1": "uhd",
    "uhd2": "uhd",
    "stereo_audio": "audio",
    "multichannel_audio": "audio",
    "multichannel_audio_3_6": "audio",
    "multichannel_audio_7": "audio",
}
"""The kinds that parts of them belong to."""


def with_parts(policies: Mapping[str, Policy]) -> Mapping[str, Policy]:
    """Return the policies by track, those of kinds for their parts too."""
    parts = {part: policies[kind] for part, kind in KINDS.items() if kind in policies}
    return {**parts, **policies}
