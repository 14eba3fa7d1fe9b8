"""BCert, the format of the certificates of clients, domains and services.

`objects` has the classes of objects, `table` their coding; `certificate` and `chain` parse and
build; `issuing` creates certificates and `verification` verifies chains.
"""

from rightsmanager.protocol.formats.bcert.certificate import (
    Certificate,
    build_certificate,
    parse_certificate,
)
from rightsmanager.protocol.formats.bcert.chain import Chain, build_chain, parse_chain
from rightsmanager.protocol.formats.bcert.issuing import Template, chain_under, issue
from rightsmanager.protocol.formats.bcert.objects import CertificateType, Feature, Key, KeyUsage
from rightsmanager.protocol.formats.bcert.verification import ChainVerifier

__all__ = [
    "Certificate",
    "CertificateType",
    "Chain",
    "ChainVerifier",
    "Feature",
    "Key",
    "KeyUsage",
    "Template",
    "build_certificate",
    "build_chain",
    "chain_under",
    "issue",
    "parse_certificate",
    "parse_chain",
]
