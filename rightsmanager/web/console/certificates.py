"""The certificates of the server: the tree of issuers, and each one with its checks."""

from collections import defaultdict
from collections.abc import Iterable

from rightsmanager.admin.refusals import NotFound
from rightsmanager.crypto.p256 import PublicKey
from rightsmanager.protocol.formats.bcert import Certificate
from rightsmanager.protocol.wire import NEVER, encode_base64, fingerprint
from rightsmanager.web.console.blocks import (
    BAD,
    Act,
    Asked,
    Cell,
    Hierarchy,
    Node,
    Text,
    Tree,
    View,
    link,
    state,
    time,
)
from rightsmanager.web.console.parts import NamedChain, Parts


def show_certificates(parts: Parts, _asked: Asked) -> View:
    """Return the page with the tree of certificates below each trusted root."""
    revoked, now = _find_revoked(parts), parts.now
    chains = parts.find_chains()
    children = _children(chains)
    names = {each.chain.leaf.digest: each.name for each in chains}

    def branch(certificate: Certificate) -> Node:
        return Node(
            Cell(
                names.get(certificate.digest, _type(certificate)),
                link("certificates", certificate.digest.hex()),
            ),
            _describe(certificate),
            _state(certificate, revoked, now),
            below(certificate.keys[0].public),
        )

    def below(key: PublicKey) -> tuple[Node, ...]:
        return tuple(branch(each) for each in children.pop(key.raw, ()))

    roots = [
        Node(Cell(f"root {fingerprint(anchor.raw)}"), "trusted", children=below(anchor))
        for anchor in parts.management.keyring.trust_anchors
    ]
    return View(
        "Certificates",
        (Hierarchy("", tuple(roots)),),
        lead="Each certificate below the one that signed it. Players trust the root alone.",
        acts=(Act("Revoke a certificate", "acts/revoke"),),
    )


def show_certificate(parts: Parts, asked: Asked) -> View:
    """Return the page of one certificate: every object, and every check of its chain."""
    digest = asked.path["digest"]
    for each in parts.find_chains():
        for index, certificate in enumerate(each.chain.certificates):
            if certificate.digest.hex() == digest:
                return _show(parts, each, index, certificate)
    raise NotFound(f"there is no certificate {digest[:64]!r}")


def _show(parts: Parts, named: NamedChain, index: int, certificate: Certificate) -> View:
    is_leaf = index == 0
    data = named.chain.raw if is_leaf else certificate.raw
    title = named.name if is_leaf else _type(certificate)
    return View(
        title,
        (
            Tree("Objects and checks", parts.describe(data)),
            Text("In base64", "base64", encode_base64(data), is_open=False),
        ),
        acts=(Act("Revoke", link("acts/revoke", digest=certificate.digest.hex())),),
        up=Act("Certificates", "certificates"),
    )


def _children(chains: Iterable[NamedChain]) -> dict[bytes, list[Certificate]]:
    """Return the certificates by the public key that signed them, each once."""
    found: defaultdict[bytes, dict[bytes, Certificate]] = defaultdict(dict)
    for each in chains:
        for certificate in each.chain.certificates:
            found[certificate.issuer_key.raw][certificate.digest] = certificate
    return {key: list(each.values()) for key, each in found.items()}


def _type(certificate: Certificate) -> str:
    return certificate.type.name.lower().replace("_", " ")


def _describe(certificate: Certificate) -> str:
    is_endless = certificate.expiry == NEVER
    end = "never expires" if is_endless else f"until {time(certificate.expiry).text}"
    return f"{_type(certificate)}, security level {certificate.security_level}, {end}"


def _state(certificate: Certificate, revoked: frozenset[bytes], now: int) -> Cell | None:
    if certificate.digest in revoked:
        return state("revoked", BAD)
    is_expired = certificate.expiry != NEVER and certificate.expiry < now
    return state("expired", BAD) if is_expired else None


def _find_revoked(parts: Parts) -> frozenset[bytes]:
    with parts.management.store.reading() as found:
        return found.revocations.find_revoked()
