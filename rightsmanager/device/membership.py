"""JoinDomain and LeaveDomain on the client's side, and licences of joined domains.

join      the server signed the reply to this challenge; each certificate is the domain's at its
          revision under the device's root, and each private key belongs to its certificate
leave     the domain's keys are deleted once the server answered, or if the device is not a member
acquire   after 0x8004c606 the device joins again and repeats the request once; after 0x8004c605
          only if `joins` is set; after 0x8004c60a it fails, and the stored keys stay
"""

from dataclasses import dataclass, replace

from rightsmanager.device.acquire import Acquired, Wanted, acquire
from rightsmanager.device.client import ServerClient
from rightsmanager.device.domains import DomainStore, HeldDomain, HeldRevision
from rightsmanager.errors import (
    DomainFacts,
    DomainRequired,
    InvalidMessage,
    NotADomainMember,
    Refusal,
    RenewDomain,
)
from rightsmanager.protocol.formats.bcert import CertificateType, KeyUsage
from rightsmanager.protocol.messages.domain import (
    JOIN,
    LEAVE,
    DomainRevision,
    JoinResponse,
    open_join_response,
    open_leave_response,
    seal_join,
    seal_leave,
    unwrap_domain_key,
)
from rightsmanager.protocol.wire import AccountId, ServiceId
from rightsmanager.protocol.xml.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Joining:
    """The domain to join, and the options of the challenge."""

    service_id: ServiceId
    account_id: AccountId | None
    """None: the server takes it from the URL or CustomData."""
    friendly_name: str | None = None
    """The device's name in the domain."""
    custom_data: str | None = None


def join(url: str, joining: Joining, client: ServerClient) -> HeldDomain:
    """Join a domain and return it; it is not stored yet.

    Raises the Refusal of a fault, and InvalidMessage for a reply that fails a check.
    """
    envelope = client.call(url, JOIN.operation, join_challenge(joining, client))
    return accept_join(envelope, joining, client)


def join_challenge(joining: Joining, client: ServerClient) -> bytes:
    """Return the SOAP 1.1 envelope of a JoinDomain challenge."""
    return seal_join(
        joining.service_id,
        joining.account_id,
        joining.friendly_name,
        client.client_info(joining.custom_data),
        client.challenge_keys(),
    )


def accept_join(envelope: Envelope, joining: Joining, client: ServerClient) -> HeldDomain:
    """Return the domain of a reply; raises InvalidMessage for one that fails a check."""
    response, reply = open_join_response(envelope)
    client.verify(reply)
    _refuse_other(response.service_id, response.account_id, joining)
    return HeldDomain(
        response.account_id,
        response.service_id,
        response.friendly_name,
        response.domain_url,
        tuple(_open_revision(each, response, client) for each in response.revisions),
    )


def leave(url: str, domain: HeldDomain, client: ServerClient) -> bool:
    """Leave a domain; returns whether the device was a member until now.

    Raises the Refusal of a fault, and InvalidMessage for a reply that fails a check.
    """
    try:
        envelope = client.call(url, LEAVE.operation, leave_challenge(domain, client))
    except NotADomainMember:
        # The reply to an earlier challenge got lost, or the operator removed the device.
        return False
    accept_leave(envelope, domain, client)
    return True


def leave_challenge(domain: HeldDomain, client: ServerClient) -> bytes:
    """Return the SOAP 1.1 envelope of a LeaveDomain challenge."""
    return seal_leave(
        domain.service_id, domain.account_id, client.client_info(), client.challenge_keys()
    )


def accept_leave(envelope: Envelope, domain: HeldDomain, client: ServerClient) -> None:
    """Verify a reply to LeaveDomain; raises InvalidMessage if it fails a check."""
    response, reply = open_leave_response(envelope)
    client.verify(reply)
    expected = Joining(domain.service_id, domain.account_id)
    _refuse_other(response.service_id, response.account_id, expected)


def _refuse_other(service_id: ServiceId, account_id: AccountId, joining: Joining) -> None:
    if service_id != joining.service_id:
        raise InvalidMessage(
            f"the reply is of DomainServiceID {service_id.text}, expected {joining.service_id.text}"
        )
    if joining.account_id is not None and account_id != joining.account_id:
        raise InvalidMessage(
            f"the reply is of AccountID {account_id.text}, expected {joining.account_id.text}"
        )


def _open_revision(
    given: DomainRevision, response: JoinResponse, client: ServerClient
) -> HeldRevision:
    opening = client.opening
    name = f"the domain certificate of revision {given.revision}"
    chain = opening.verifier.parse(given.chain)
    opening.verifier.verify(chain, client.now, opening.held.digests)
    leaf, expected = chain.leaf, (response.service_id, response.account_id, given.revision)
    if leaf.type != CertificateType.DOMAIN or leaf.domain is None:
        raise InvalidMessage(f"{name} is of type {leaf.type.name}, expected a domain")
    if (leaf.domain.service_id, leaf.domain.account_id, leaf.domain.revision) != expected:
        raise InvalidMessage(
            f"{name} is of account {leaf.domain.account_id.text}, revision "
            f"{leaf.domain.revision}, expected account {response.account_id.text} of this service"
        )
    key = unwrap_domain_key(given.wrapped_key, opening.device.encryption_key, opening.backend)
    if leaf.key_with_usage(KeyUsage.ENCRYPT_KEY) != key.public:
        raise InvalidMessage(f"the private key of revision {given.revision} is not of {name}")
    return HeldRevision(given.revision, chain, key)


@dataclass(frozen=True, slots=True)
class Membership:
    """Requests licences as a member of a domain."""

    store: DomainStore
    account_id: AccountId | None
    """The account of the domain to request licences for; None for the device alone."""
    joins: bool = False
    """Whether to join the domain that a fault requires."""

    def acquire(self, url: str, wanted: Wanted, client: ServerClient) -> Acquired:
        """Return the licences, after joining the domain if needed; raises as `acquire` does."""
        try:
            return self._acquire(url, wanted, client)
        except NotADomainMember as refusal:
            raise _with_kept_keys(refusal, self._domain()) from None

    def _acquire(self, url: str, wanted: Wanted, client: ServerClient) -> Acquired:
        try:
            return self._request(url, wanted, client, self._domain())
        except RenewDomain as refusal:
            domain = self._join(url, refusal, client)
        except DomainRequired as refusal:
            if not self.joins:
                raise
            domain = self._join(url, refusal, client)
        self.store.record(domain)
        # The reply may be bound to the new revision.
        opening = replace(client.opening, domains=self.store.private_keys())
        return self._request(url, wanted, replace(client, opening=opening), domain)

    def _domain(self) -> HeldDomain | None:
        return None if self.account_id is None else self.store.find(self.account_id)

    def _request(
        self, url: str, wanted: Wanted, client: ServerClient, domain: HeldDomain | None
    ) -> Acquired:
        chains = () if domain is None else (domain.newest.chain.raw,)
        return acquire(url, replace(wanted, domain_chains=chains), client)

    def _join(self, url: str, refusal: Refusal, client: ServerClient) -> HeldDomain:
        """Join the domain of a fault."""
        facts, held = refusal.domain or DomainFacts(), self._domain()
        service_id = held.service_id if held is not None else None
        if facts.service_id is not None:
            service_id = ServiceId.from_base64(facts.service_id)
        account_id = self.account_id
        if facts.account_id is not None:
            account_id = AccountId.from_base64(facts.account_id)
        if service_id is None or account_id is None:
            raise refusal
        return join(facts.url or url, Joining(service_id, account_id), client)


def _with_kept_keys(refusal: NotADomainMember, domain: HeldDomain | None) -> NotADomainMember:
    kept = (
        ""
        if domain is None
        else f"; the device keeps its keys of the domain of account {domain.account_id.text}, and "
        "the licences that it has still open"
    )
    return NotADomainMember(refusal.text + kept, domain=refusal.domain)
