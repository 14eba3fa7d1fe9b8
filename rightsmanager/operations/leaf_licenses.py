"""Leaf licences for no device: packagers embed them in the media, and root licences open them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rightsmanager.crypto.random import Rng
from rightsmanager.operations.content import KEY_TYPES
from rightsmanager.operations.license_seal import ClearKey, chain
from rightsmanager.operations.packaging_keys import PackagingKey
from rightsmanager.policy.defaults import LicenseDefaults
from rightsmanager.policy.licenses import build_policy
from rightsmanager.protocol.formats import xmr
from rightsmanager.protocol.formats.xmr.license import RIGHTS_ID_LENGTH
from rightsmanager.protocol.wire import Mid

ROOT_QUERY: Final = "cfg=(isroot:true)"


@dataclass(frozen=True, slots=True)
class LeafIssuer:
    """Issues leaf licences, each with the policy of its key's track, or the usual one."""

    defaults: LicenseDefaults
    own_mid: Mid
    """The server's metering id."""
    clock: Callable[[], int]
    """Returns the time in Unix seconds."""
    rng: Rng

    def issue(self, leaf: PackagingKey, root: PackagingKey) -> bytes:
        """Return a licence for the leaf's key, chained to the root's."""
        sealed = chain(_clear(leaf), _clear(root), self.rng)
        policy = self.defaults.tracks.get(leaf.track or "", self.defaults.policy)
        body = build_policy(policy, self.clock(), self.own_mid)
        body += xmr.build_objects((sealed.material,))
        return xmr.sign_objects(self.rng(RIGHTS_ID_LENGTH), body, sealed.integrity_key)


def root_url(url: str) -> str:
    """Return the URL of a service by which devices request a root licence; empty for none."""
    separator = "&" if "?" in url else "?"
    return f"{url}{separator}{ROOT_QUERY}" if url else ""


def _clear(key: PackagingKey) -> ClearKey:
    return ClearKey(key.kid, KEY_TYPES[key.key_type], key.key)
