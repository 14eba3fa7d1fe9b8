"""Leaf licences for no device: packagers embed them in the media, and root licences open them."""

from rightsmanager.crypto.random import Rng
from rightsmanager.operations.license_seal import ClearKey, chain
from rightsmanager.policy.grants import Policy
from rightsmanager.policy.licenses import build_policy
from rightsmanager.protocol.formats import xmr
from rightsmanager.protocol.formats.xmr.license import RIGHTS_ID_LENGTH
from rightsmanager.protocol.wire import Mid


def seal_leaf(  # noqa: PLR0913, PLR0917 -- the parts of a licence
    policy: Policy, leaf: ClearKey, root: ClearKey, own_mid: Mid, now: int, rng: Rng
) -> bytes:
    """Return a licence for the leaf's key, chained to the root's; `now` in Unix seconds."""
    sealed = chain(leaf, root, rng)
    body = build_policy(policy, now, own_mid) + xmr.build_objects((sealed.material,))
    return xmr.sign_objects(rng(RIGHTS_ID_LENGTH), body, sealed.integrity_key)
