"""Builds the XMR licence of a recorded grant: its policy, its sealed content key and its MAC."""

from collections.abc import Mapping

from rightsmanager.crypto import p256
from rightsmanager.operations.context import Context
from rightsmanager.operations.license_keys import ClearKey, bind, chain
from rightsmanager.operations.license_record import PendingLicense
from rightsmanager.policy.licenses import build_policy, policy_objects
from rightsmanager.protocol.formats import xmr
from rightsmanager.protocol.wire import Kid


def build_license(
    context: Context,
    license_: PendingLicense,
    roots: Mapping[Kid, ClearKey],
    device_key: p256.PublicKey,
    now: int,
) -> bytes:
    """Return a licence bound to its domain or to `device_key`, or chained to a root of `roots`."""
    root_kid = license_.grant.root_kid
    if root_kid is None:
        key = device_key if license_.binding is None else license_.binding.key
        sealed = bind(license_.clear, key, context.backend, context.rng)
    else:
        sealed = chain(license_.clear, roots[root_kid], context.rng)
    body = _build_policy(context, license_, now) + xmr.build_objects((sealed.material,))
    return xmr.sign_objects(license_.license_id, body, sealed.integrity_key)


def _build_policy(context: Context, license_: PendingLicense, now: int) -> bytes:
    policy, own_mid = license_.grant.policy, context.metering_keys.own_mid
    domain = None if license_.binding is None else license_.binding.domain
    if not policy.secure_stop:
        return build_policy(policy, now, own_mid, domain)
    objects = policy_objects(policy, now, own_mid, domain)
    return xmr.build_objects(
        context.secure_stop_keys.add_key(objects, license_.grant.kid, license_.key.key)
    )
