"""XMR licences: each object, and whether the content key opens.

form             the strict parser takes it
device key       it is bound to the device's key
content key      it opens, with the device's key or, in a leaf licence, the root's content key
CMAC             the integrity key that comes with the content key verifies the licence
security level   the device has it
uplink           the root's content key has the checksum of the root KID
time             now is not after its end
byte order       the store has the KID itself, not its byte-swapped form
"""

from dataclasses import replace
from typing import Final

from rightsmanager.crypto.aes import cmac, ecb_decrypt
from rightsmanager.crypto.keyseed import content_key as key_of_seed
from rightsmanager.errors import InvalidMessage
from rightsmanager.inspection.checks import (
    attempt,
    compared,
    not_possible,
    unless_refused,
    verified,
)
from rightsmanager.inspection.context import Context
from rightsmanager.inspection.description import Check, Description, Outcome
from rightsmanager.inspection.kids import order_checks
from rightsmanager.inspection.nodes import Grammar, Node, describe_node, find, find_all, read_nodes
from rightsmanager.inspection.values import binary, time_text
from rightsmanager.protocol.formats import xmr as licence
from rightsmanager.protocol.formats.xmr import objects as xmr
from rightsmanager.protocol.formats.xmr.table import LAYOUTS, build_objects, parse_objects
from rightsmanager.protocol.messages.secure_stop import unwrap_key
from rightsmanager.protocol.wire import NEVER, Kid, fingerprint

MAGIC: Final = b"XMR\0"
_VERSION_END: Final = 8
_START: Final = 24
_HALF: Final = 16
_OPENED_LENGTH: Final = 32
_CANNOT_PERSIST: Final = 1


def _parse(data: bytes, start: int, end: int) -> xmr.XmrObject:
    return parse_objects(data, start, end)[0]


_GRAMMAR: Final = Grammar(
    kinds={layout.object_type: layout.kind for layout in LAYOUTS},
    containers=frozenset(layout.object_type for layout in LAYOUTS if layout.read is None),
    parse=_parse,
    unknown=xmr.Unknown,
)


def describe_license(data: bytes, context: Context, name: str = "XMR licence") -> Description:
    """Return the description of a licence, damaged or not."""
    parsed, form = attempt("form", "it is well-formed", licence.parse_license, data)
    nodes = read_nodes(data, _START, len(data), _GRAMMAR)
    opened, opening = _open(nodes, context)
    return Description(
        name,
        children=(
            *_head_facts(data),
            *(describe_node(node, _GRAMMAR) for node in nodes),
            *_key_facts(opened, nodes, context),
        ),
        checks=(
            form,
            *_binding_checks(nodes, context),
            opening,
            _cmac_check(parsed, opened),
            *_uplink_checks(nodes, context),
            *_level_checks(nodes, context),
            *_time_checks(nodes, context.now),
            *_order_checks(nodes, context),
        ),
    )


def describe_objects(objects: tuple[xmr.XmrObject, ...]) -> tuple[Description, ...]:
    """Return the description of objects as parts of a licence."""
    data = build_objects(objects)
    return tuple(describe_node(node, _GRAMMAR) for node in read_nodes(data, 0, len(data), _GRAMMAR))


def is_persistent(data: bytes) -> bool:
    """Return True if a licence may be stored; False for a damaged one."""
    parsed = unless_refused(licence.parse_license, data)
    if parsed is None:
        return False
    settings = parsed.find(xmr.RightsSettings)
    return settings is None or not settings.settings & _CANNOT_PERSIST


def with_roots(licenses: tuple[bytes, ...], context: Context) -> Context:
    """Return the context with the content keys of licences whose CMAC verifies.

    They open leaf licences of roots in the same reply.
    """
    keys = dict(context.content_keys)
    for data in licenses:
        nodes = read_nodes(data, _START, len(data), _GRAMMAR)
        key, opened = find(nodes, xmr.ContentKey), _open(nodes, context)[0]
        parsed = unless_refused(licence.parse_license, data)
        if key and opened and parsed and _cmac_check(parsed, opened).outcome is Outcome.OK:
            keys[key.kid] = opened[_HALF:]
    return replace(context, content_keys=keys)


def _head_facts(data: bytes) -> tuple[Description, ...]:
    return (
        Description("version", int.from_bytes(data[len(MAGIC) : _VERSION_END])),
        binary("rights id", data[_VERSION_END:_START]),
    )


# --- the content key ------------------------------------------------------------------------------


def _open(nodes: tuple[Node, ...], context: Context) -> tuple[bytes | None, Check]:
    """Return integrity key(16) and content key(16), or None, and the check with the reason."""
    name = "content key"
    key = find(nodes, xmr.ContentKey)
    if key is None:
        return None, not_possible(name, "there is not one content key object to read")
    match key.cipher:
        case xmr.Cipher.ECC_256:
            return _open_bound(key, find(nodes, xmr.DeviceKey), context)
        case xmr.Cipher.CHAINED:
            return _open_chained(key, find(nodes, xmr.UplinkKid), context)
        case _:
            return None, not_possible(name, f"its cipher {key.cipher} is not known")


def _open_bound(
    key: xmr.ContentKey, bound: xmr.DeviceKey | None, context: Context
) -> tuple[bytes | None, Check]:
    name = "content key"
    private = next(
        (
            each
            for each in (*context.device_keys, *context.domain_keys)
            if bound is not None and each.public.raw == bound.key
        ),
        None,
    )
    if private is None:
        return None, not_possible(name, "the key that the licence is bound to is not given")
    whose = "device" if private in context.device_keys else "domain"
    text = f"opens with the {whose}'s key"
    return attempt(name, text, context.backend.decrypt, private, key.value)


def _open_chained(
    key: xmr.ContentKey, uplink: xmr.UplinkKid | None, context: Context
) -> tuple[bytes | None, Check]:
    name = "content key"
    root = None if uplink is None else context.content_keys.get(uplink.root_kid)
    if root is None:
        return None, not_possible(name, "the content key of the root licence is not known")
    return attempt(name, "opens with the root licence's content key", _unchain, root, key.value)


def _unchain(root: bytes, value: bytes) -> bytes:
    if len(value) != _OPENED_LENGTH:
        raise InvalidMessage(
            f"the chained content key has {len(value)} bytes, expected {_OPENED_LENGTH}"
        )
    return ecb_decrypt(root, value)


def _key_facts(
    opened: bytes | None, nodes: tuple[Node, ...], context: Context
) -> tuple[Description, ...]:
    key = find(nodes, xmr.ContentKey)
    if opened is None or key is None:
        return ()
    content_key = opened[_HALF:]
    seed = seed_of(key.kid, content_key, context)
    meaning = f"derived from {seed}" if seed else "not derived from a known seed"
    return (
        Description("content key in the clear", _shown(content_key, context), meaning),
        *_secure_stop_facts(nodes, content_key, context),
    )


def _secure_stop_facts(
    nodes: tuple[Node, ...], content_key: bytes, context: Context
) -> tuple[Description, ...]:
    carried = find(nodes, xmr.SecureStop2Key)
    if carried is None:
        return ()
    key = unwrap_key(carried.wrapped, content_key)
    return (Description("secure stop 2 key in the clear", _shown(key, context)),)


def _shown(key: bytes, context: Context) -> str:
    return key.hex() if context.show_keys else "opened, not shown"


def seed_of(kid: Kid, content_key: bytes, context: Context) -> str | None:
    """Return the name of the seed that gives the KID this content key, or None."""
    for name, seed in context.seeds.items():
        if key_of_seed(seed, kid.raw) == content_key:
            return name
    return None


# --- checks ---------------------------------------------------------------------------------------


def _binding_checks(nodes: tuple[Node, ...], context: Context) -> tuple[Check, ...]:
    name = "device key"
    keys = find_all(nodes, xmr.DeviceKey)
    if not keys:
        return ()
    if not context.device_keys:
        return (not_possible(name, "no device is given"),)
    whose = fingerprint(keys[0].key)
    domain = find(nodes, xmr.Domain)
    owner = "device" if domain is None else "domain"
    held = context.device_keys if domain is None else context.domain_keys
    return (
        compared(
            name,
            holds=len(keys) == 1 and keys[0].key in {k.public.raw for k in held},
            text=f"the licence is bound to the {owner}'s key {whose}",
            otherwise=f"the licence is bound to the key {whose}, "
            + ("which is not the device's" if domain is None else _no_domain_key(domain)),
        ),
    )


def _no_domain_key(domain: xmr.Domain) -> str:
    return (
        f"and the device has no key of account {domain.account_id.text} at revision "
        f"{domain.revision}"
    )


def _cmac_check(parsed: licence.License | None, opened: bytes | None) -> Check:
    name = "CMAC"
    if opened is None:
        return not_possible(name, "the integrity key did not open")
    if parsed is None:
        return not_possible(name, "the licence is not well-formed")
    return verified(
        name,
        "verifies under the integrity key",
        licence.verify_signature,
        parsed,
        opened[:_HALF],
    )


def _uplink_checks(nodes: tuple[Node, ...], context: Context) -> tuple[Check, ...]:
    name = "uplink"
    uplink = find(nodes, xmr.UplinkKid)
    if uplink is None:
        return ()
    root = context.content_keys.get(uplink.root_kid)
    if root is None:
        return (not_possible(name, "the content key of the root licence is not known"),)
    return (
        compared(
            name,
            holds=cmac(root, uplink.root_kid.raw) == uplink.checksum,
            text="the root's content key has the checksum of the root KID",
            otherwise="the checksum of the root KID is not that of the root's content key",
        ),
    )


def _level_checks(nodes: tuple[Node, ...], context: Context) -> tuple[Check, ...]:
    level = find(nodes, xmr.SecurityLevel)
    if level is None or context.device_level is None:
        return ()
    return (
        compared(
            "security level",
            holds=level.level <= context.device_level,
            text=f"the device has {context.device_level}, {level.level} is needed",
            otherwise=f"the device has {context.device_level}, {level.level} is needed",
        ),
    )


def _time_checks(nodes: tuple[Node, ...], now: int) -> tuple[Check, ...]:
    expiration = find(nodes, xmr.Expiration)
    if expiration is None or expiration.end == NEVER:
        return ()
    when = time_text(expiration.end)
    return (
        compared(
            "time", holds=now <= expiration.end, text=f"ends {when}", otherwise=f"ended {when}"
        ),
    )


def _order_checks(nodes: tuple[Node, ...], context: Context) -> tuple[Check, ...]:
    key = find(nodes, xmr.ContentKey)
    return () if key is None else order_checks(key.kid, context)
