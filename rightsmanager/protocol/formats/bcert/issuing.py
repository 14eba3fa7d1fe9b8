"""Creates certificates: a template, filled in by the caller and signed by an issuer.

The objects have the order of clients' certificates: basic, those of the type, features, keys,
manufacturer, signature.
"""

import hashlib
from dataclasses import dataclass

from rightsmanager.crypto.p256 import PrivateKey, sign
from rightsmanager.protocol.formats.bcert.certificate import (
    Certificate,
    build_signed,
    parse_certificate,
)
from rightsmanager.protocol.formats.bcert.chain import Chain, build_chain, parse_chain
from rightsmanager.protocol.formats.bcert.objects import (
    Basic,
    CertificateObject,
    CertificateType,
    Feature,
    Features,
    Key,
    Keys,
    Manufacturer,
    Signature,
)
from rightsmanager.protocol.formats.bcert.table import build_object
from rightsmanager.protocol.wire import NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """The content of a certificate but its issuer: ids of 16 bytes, expiry in Unix seconds."""

    type: CertificateType
    security_level: int
    certificate_id: bytes
    keys: tuple[Key, ...]
    client_id: bytes = bytes(16)
    expiry: int = NEVER
    flags: int = 0
    features: tuple[Feature | int, ...] = ()
    manufacturer: Manufacturer | None = None
    objects: tuple[CertificateObject, ...] = ()
    """Objects of the type, such as Device, Domain, Metering or Server."""


def issue(template: Template, issuer: PrivateKey) -> Certificate:
    """Return a certificate of the template, signed by the issuer's key.

    Raises InvalidMessage for a template of an invalid certificate.
    """
    signed = build_signed(_objects(template))
    signature = Signature(sign(issuer, signed), issuer.public)
    return parse_certificate(signed + build_object(signature), "issued certificate")


def chain_under(leaf: Certificate, issuer: Chain | None) -> Chain:
    """Return the chain of a certificate and its issuer's chain.

    issuer: None when a trust anchor issued the certificate. Raises InvalidMessage for a chain that
    is too long.
    """
    above = () if issuer is None else issuer.certificates
    return parse_chain(build_chain((leaf, *above)))


def _objects(template: Template) -> tuple[CertificateObject, ...]:
    basic = Basic(
        certificate_id=template.certificate_id,
        security_level=template.security_level,
        certificate_flags=template.flags,
        type=template.type,
        key_digest=hashlib.sha256(template.keys[0].public.raw).digest(),
        expiry=template.expiry,
        client_id=template.client_id,
    )
    made = () if template.manufacturer is None else (template.manufacturer,)
    return (basic, *template.objects, Features(template.features), Keys(template.keys), *made)
