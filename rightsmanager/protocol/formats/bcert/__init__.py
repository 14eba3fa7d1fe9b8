"""BCert, the certificate format: who a client, a domain or a service is, and who says so.

`objects` is the vocabulary, `table` its coding, `certificate` and `chain` the wholes; `issuing`
makes certificates and `verification` decides whether a chain is to be believed.
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
