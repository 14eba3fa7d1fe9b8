"""A server as far as a device needs one: answers by operation, in the order given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rightsmanager.crypto.random import seeded_random
from rightsmanager.device import LicenseOpener, ServerKeys
from rightsmanager.device.client import ServerClient
from rightsmanager.errors import Refusal
from rightsmanager.protocol.formats.bcert import (
    CertificateType,
    Chain,
    Key,
    KeyUsage,
    Template,
    chain_under,
    issue,
    parse_chain,
)
from rightsmanager.protocol.messages.domain import DomainRevision, wrap_domain_key
from rightsmanager.protocol.xml.envelope import Envelope, SoapVersion, parse_envelope
from rightsmanager.soap.faults import build_fault
from tests.operations.subject import PORTABLE, private_key, public_key
from tests.second import certificates, world

if TYPE_CHECKING:
    from rightsmanager.crypto.p256 import PrivateKey
    from rightsmanager.protocol.formats.bcert.objects import CertificateObject, Domain

DOMAIN_ISSUER, METERING_ISSUER = 3001, 3002
URL = "http://server.test/rightsmanager.asmx"
SIGNER_KEY = private_key(world.SIGNER)
Answer = Callable[[Envelope], bytes]
"""Gives the Body's child of a reply, or raises the Refusal of a fault or the network's error."""


class Lost(Exception):  # noqa: N818 -- it is the reply that is lost
    """The network's way of losing a reply after the server has read the message."""


@dataclass
class Server:
    """Answers what it is asked, by operation; each answer is given once, the last one for ever."""

    answers: dict[str, list[Answer]]
    asked: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)

    def post(self, url: str, action: str, body: bytes) -> bytes:
        operation = action.rpartition("/")[2]
        self.asked.append(operation)
        self.urls.append(url)
        answers = self.answers[operation]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        try:
            reply = answer(parse_envelope(body))
        except Refusal as refusal:
            return enveloped(build_fault(SoapVersion.SOAP11, refusal, url))
        return enveloped(reply)


def enveloped(reply: bytes) -> bytes:
    namespace = SoapVersion.SOAP11.namespace.encode()
    return b'<soap:Envelope xmlns:soap="%b"><soap:Body>%b</soap:Body></soap:Envelope>' % (
        namespace,
        reply,
    )


def refusing(refusal: Refusal) -> Answer:
    def answer(_: Envelope) -> bytes:
        raise refusal

    return answer


def make_client(opening: LicenseOpener, server: Server, **more: Any) -> ServerClient:  # noqa: ANN401 -- fields of ServerClient
    keys = ServerKeys(public_key(world.SERVER), public_key(world.ROOT))
    given: dict[str, Any] = {
        "opening": opening,
        "server": keys,
        "now": world.NOW,
        "rng": seeded_random(b"client"),
        "post": server.post,
    }
    return ServerClient(**{**given, **more})


def certified(
    kind: CertificateType, about: CertificateObject, key: PrivateKey, issuer: int, usage: int
) -> Chain:
    """Return the chain of a service's certificate under an issuer of its own."""
    template = Template(
        type=kind,
        security_level=150,
        certificate_id=bytes(16),
        keys=(Key(key.public, (KeyUsage.ENCRYPT_KEY,)),),
        objects=(about,),
    )
    above = parse_chain(certificates.chain(world.issuer(issuer, usage)))
    return chain_under(issue(template, private_key(issuer)), above)


def domain_revision(
    domain: Domain, key: PrivateKey, chained: PrivateKey | None = None
) -> DomainRevision:
    """Return a revision for a member; its certificate may be of another key than the given one."""
    chain = certified(
        CertificateType.DOMAIN, domain, chained or key, DOMAIN_ISSUER, KeyUsage.ISSUE_DOMAIN
    )
    wrapped = wrap_domain_key(
        key, public_key(world.DEVICE_ENCRYPTION), PORTABLE, seeded_random(b"domain")
    )
    return DomainRevision(domain.revision, chain.raw, wrapped)
