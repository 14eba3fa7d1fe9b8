"""The policies of KIDs whose stored keys have a track."""

from collections.abc import Mapping, Sequence

from rightsmanager.operations.content import KnownKeys
from rightsmanager.policy.defaults import LicenseDefaults
from rightsmanager.policy.grants import Policy
from rightsmanager.protocol.wire import Kid
from rightsmanager.store.database import Store, StoreFailed


def find_policies(defaults: LicenseDefaults, keys: KnownKeys) -> Mapping[Kid, Policy]:
    """Return the policy of each KID whose key has a track with one."""
    named = {kid: stored or swapped for kid, (stored, swapped) in keys.items()}
    tracks = {kid: (key and key.track) or "" for kid, key in named.items()}
    return {kid: defaults.tracks[each] for kid, each in tracks.items() if each in defaults.tracks}


def look_up_policies(
    store: Store, defaults: LicenseDefaults, kids: Sequence[Kid]
) -> Mapping[Kid, Policy]:
    """Return the policies of KIDs, for at most as many as a request may have.

    There are none while the database is away: explanations are made without it.
    """
    looked_up = kids[: defaults.rules.max_kids]
    try:
        with store.reading() as found:
            keys = {kid: found.content_keys.find_pair(kid) for kid in looked_up}
    except StoreFailed:
        return {}
    return find_policies(defaults, keys)
