"""BCert chains and certificates: each object, and the checks of the chain.

form           the strict parser takes it
key digest     the basic object has the SHA-256 of the first key
signature      the certificate verifies under the issuer key that it names itself
expiry         now is not after it
revocation     the revocation lists do not name it; only if lists are given
links          each issuer had the right to issue, and every signature is its issuer's
trust anchor   the last issuer key is one that is trusted
"""

import hashlib
import struct
from typing import Final

from rightsmanager.crypto.p256 import PublicKey, verify
from rightsmanager.errors import InvalidMessage
from rightsmanager.inspection.checks import (
    attempt,
    compared,
    not_possible,
    unless_refused,
    verified,
)
from rightsmanager.inspection.context import Context
from rightsmanager.inspection.description import Check, Description
from rightsmanager.inspection.nodes import Grammar, Node, describe_node, find, read_nodes
from rightsmanager.inspection.values import binary, time_text
from rightsmanager.protocol.formats.bcert import (
    Certificate,
    Chain,
    ChainVerifier,
    parse_certificate,
)
from rightsmanager.protocol.formats.bcert import objects as bcert
from rightsmanager.protocol.formats.bcert import parse_chain as parse_strictly
from rightsmanager.protocol.formats.bcert.table import TABLE, parse_object
from rightsmanager.protocol.wire import NEVER, encode_base64, fingerprint

_CHAIN: Final = struct.Struct(">4sIIII")
_CERTIFICATE: Final = struct.Struct(">4sIII")
_LENGTH_OFFSET: Final = 8


def _parse(data: bytes, start: int, end: int) -> bcert.CertificateObject:
    return parse_object(data, start, end, "certificate")[0]


_GRAMMAR: Final = Grammar(
    kinds={layout.tag: layout.kind for layout in TABLE},
    containers=frozenset(layout.tag for layout in TABLE if layout.kind is bcert.ExtendedData),
    parse=_parse,
    unknown=bcert.Unknown,
)


# --- chain ----------------------------------------------------------------------------------------


def describe_chain(data: bytes, context: Context, name: str = "BCert chain") -> Description:
    """Return the description of a chain, damaged or not."""
    chain, form = attempt("form", "the chain is well-formed", parse_strictly, data)
    certificates = tuple(
        describe_certificate(piece, context, f"certificate {index}")
        for index, piece in enumerate(_slices(data))
    )
    return Description(
        name,
        children=(*_head_facts(data), *certificates),
        checks=(form, *_chain_checks(chain, context)),
    )


def parse_chain(data: bytes) -> Chain | None:
    """Return a parsed chain, or None if it is invalid."""
    return unless_refused(parse_strictly, data)


def _head_facts(data: bytes) -> tuple[Description, ...]:
    if len(data) < _CHAIN.size:
        return (binary("head", data),)
    _, version, length, flags, count = _CHAIN.unpack_from(data)
    return (
        Description("version", version),
        Description("length", length),
        Description("flags", flags),
        Description("count", count),
    )


def _slices(data: bytes) -> tuple[bytes, ...]:
    """Return the bytes of each certificate; one with an invalid length takes all the rest."""
    pieces = []
    start = _CHAIN.size
    while start < len(data):
        length = int.from_bytes(data[start + _LENGTH_OFFSET : start + _LENGTH_OFFSET + 4])
        if not _CERTIFICATE.size <= length <= len(data) - start:
            length = len(data) - start
        pieces.append(data[start : start + length])
        start += length
    return tuple(pieces)


def _chain_checks(chain: Chain | None, context: Context) -> tuple[Check, ...]:
    if chain is None:
        why = "the chain is not well-formed"
        return not_possible("links", why), not_possible("trust anchor", why)
    last = chain.certificates[-1].issuer_key
    # Trust in the last issuer and expiry are separate checks.
    links = verified(
        "links",
        "every certificate is signed by the next one's key, which may issue it",
        ChainVerifier((last,)).verify,
        chain,
        now=0,
    )
    return links, _anchor_check(last, context)


def _anchor_check(last: PublicKey, context: Context) -> Check:
    if not context.trust_anchors:
        return not_possible("trust anchor", "no trust anchor is given")
    return compared(
        "trust anchor",
        holds=last in context.trust_anchors,
        text=f"the last issuer key {fingerprint(last.raw)} is trusted",
        otherwise=f"the last issuer key {fingerprint(last.raw)} is not a trust anchor",
    )


# --- certificate ----------------------------------------------------------------------------------


def describe_certificate(data: bytes, context: Context, name: str = "certificate") -> Description:
    """Return the description of a certificate, damaged or not."""
    found, form = attempt("form", "it is well-formed", parse_certificate, data, name)
    nodes = read_nodes(data, _CERTIFICATE.size, len(data), _GRAMMAR)
    return Description(
        name,
        meaning=_kind(nodes),
        children=(*_identity(found), *(describe_node(node, _GRAMMAR) for node in nodes)),
        checks=(
            form,
            _key_digest_check(nodes),
            _signature_check(data, nodes),
            _expiry_check(nodes, context.now),
            *_revocation_checks(found, context),
        ),
    )


def _kind(nodes: tuple[Node, ...]) -> str | None:
    basic = find(nodes, bcert.Basic)
    if basic is None:
        return None
    return f"{basic.type.name.lower().replace('_', ' ')}, security level {basic.security_level}"


def _identity(certificate: Certificate | None) -> tuple[Description, ...]:
    if certificate is None:
        return ()
    return (
        Description("digest", encode_base64(certificate.digest), "what revocation lists name"),
        Description("issuer key", fingerprint(certificate.issuer_key.raw)),
    )


def _key_digest_check(nodes: tuple[Node, ...]) -> Check:
    name = "key digest"
    basic, keys = find(nodes, bcert.Basic), find(nodes, bcert.Keys)
    if basic is None or keys is None:
        return not_possible(name, "there is not one basic and one keys object to read")
    return compared(
        name,
        holds=hashlib.sha256(keys.keys[0].public.raw).digest() == basic.key_digest,
        text="the basic object has the SHA-256 of the first key",
        otherwise="the basic object has not the SHA-256 of the first key",
    )


def _signature_check(data: bytes, nodes: tuple[Node, ...]) -> Check:
    name = "signature"
    signature = find(nodes, bcert.Signature)
    if signature is None:
        return not_possible(name, "there is not one signature object to read")
    end = next(node.offset for node in nodes for each in node.walk() if each.value is signature)
    return verified(
        name,
        f"verifies under the issuer key {fingerprint(signature.issuer_key.raw)}",
        verify,
        signature.issuer_key,
        signature.signature,
        data[:end],
    )


def _expiry_check(nodes: tuple[Node, ...], now: int) -> Check:
    name = "expiry"
    basic = find(nodes, bcert.Basic)
    if basic is None:
        return not_possible(name, "there is not one basic object to read")
    when = time_text(basic.expiry)
    return compared(
        name,
        holds=basic.expiry == NEVER or basic.expiry >= now,
        text="never expires" if basic.expiry == NEVER else f"expires {when}",
        otherwise=f"expired {when}",
    )


def _revocation_checks(certificate: Certificate | None, context: Context) -> tuple[Check, ...]:
    if context.is_revoked is None:
        return ()
    name = "revocation"
    if certificate is None:
        return (not_possible(name, "the certificate is not well-formed"),)
    return (
        compared(
            name,
            holds=not context.is_revoked(certificate.digest),
            text="the revocation lists do not name it",
            otherwise="a revocation list names it",
        ),
    )


def leaf_key(chain: Chain | None, usage: bcert.KeyUsage) -> PublicKey:
    """Return the key of a chain's leaf with a usage; raises InvalidMessage if there is none."""
    if chain is None:
        raise InvalidMessage("there is no chain that can be read")
    key = chain.leaf.key_with_usage(usage)
    if key is None:
        raise InvalidMessage(f"the leaf certificate has no key with the usage {usage.name}")
    return key
