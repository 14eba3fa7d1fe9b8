"""The refusals, one class for each status code.

A refusal becomes a fault of the service: a status code that clients act on, and a text that names
the failed check, the value and the expectation. A refused request stores nothing.

Source of the codes: the published list of PlayReady service errors.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar


class StatusCode(IntEnum):
    """The HRESULT in `detail/Exception/StatusCode` of a fault."""

    DEVICE_CERTIFICATE_REVOKED = 0x8004C065
    INTERNAL_ERROR = 0x8004C600
    INVALID_MESSAGE = 0x8004C601
    DEVICE_LIMIT_REACHED = 0x8004C602
    SERVICE_SPECIFIC = 0x8004C604
    DOMAIN_REQUIRED = 0x8004C605
    RENEW_DOMAIN = 0x8004C606
    NOT_A_DOMAIN_MEMBER = 0x8004C60A
    PROTOCOL_VERSION_MISMATCH = 0x8004C60B
    UNKNOWN_ACCOUNT_ID = 0x8004C60C
    PROTOCOL_REDIRECT = 0x8004C60D

    @property
    def hex(self) -> str:
        """The code as faults spell it, such as `0x8004c601`."""
        return f"0x{self.value:08x}"


@dataclass(frozen=True, slots=True)
class DomainFacts:
    """The domain in a fault's details; None for a missing element."""

    service_id: str | None = None
    """Base64 of a GUID."""
    account_id: str | None = None
    """Base64 of a GUID."""
    friendly_name: str | None = None
    url: str | None = None


class Refusal(Exception):  # noqa: N818 -- the project's word for it
    """A request that is answered with a fault instead of a reply."""

    status: ClassVar[StatusCode] = StatusCode.INTERNAL_ERROR

    def __init__(
        self,
        text: str,
        *,
        custom_data: str | None = None,
        redirect_url: str | None = None,
        domain: DomainFacts | None = None,
        is_received: bool = False,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.custom_data = custom_data
        self.redirect_url = redirect_url
        self.domain = domain
        self.is_received = is_received
        """Whether a server sent it as a fault. Only then do commands print its status code."""


class InternalError(Refusal):
    """The server, or a command, cannot do its work: a file, a setting, the database."""

    status = StatusCode.INTERNAL_ERROR


class InvalidMessage(Refusal):
    """Data violates its format; the only error type of all parsers."""

    status = StatusCode.INVALID_MESSAGE


class DeviceCertificateRevoked(Refusal):
    """A certificate of the client's chain is on a revocation list."""

    status = StatusCode.DEVICE_CERTIFICATE_REVOKED


class DeviceLimitReached(Refusal):
    """The domain has its maximum number of devices."""

    status = StatusCode.DEVICE_LIMIT_REACHED


class ConnectionFailed(InternalError):  # noqa: N818 -- named as its siblings
    """A client got no answer from a server, or one that is not SOAP."""


class ServiceSpecific(Refusal):
    """A reason of the service's own, such as an invalid parameter or a role that is not served."""

    status = StatusCode.SERVICE_SPECIFIC


class DomainRequired(Refusal):
    """The licence is bound to a domain and the challenge names none."""

    status = StatusCode.DOMAIN_REQUIRED


class RenewDomain(Refusal):
    """The domain certificate's revision is outdated."""

    status = StatusCode.RENEW_DOMAIN


class NotADomainMember(Refusal):
    """The device is not a member of the domain."""

    status = StatusCode.NOT_A_DOMAIN_MEMBER


class ProtocolVersionMismatch(Refusal):
    """The challenge has a version that is not supported."""

    status = StatusCode.PROTOCOL_VERSION_MISMATCH


class UnknownAccountId(Refusal):
    """The account is unknown."""

    status = StatusCode.UNKNOWN_ACCOUNT_ID


class ProtocolRedirect(Refusal):
    """The client has to ask at another URL."""

    status = StatusCode.PROTOCOL_REDIRECT


REFUSALS: dict[StatusCode, type[Refusal]] = {
    refusal.status: refusal
    for refusal in (
        DeviceCertificateRevoked,
        InternalError,
        InvalidMessage,
        DeviceLimitReached,
        ServiceSpecific,
        DomainRequired,
        RenewDomain,
        NotADomainMember,
        ProtocolVersionMismatch,
        UnknownAccountId,
        ProtocolRedirect,
    )
}
"""The class of each status code."""
