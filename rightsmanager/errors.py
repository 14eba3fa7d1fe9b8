"""Every refusal under its status code.

A refusal is a fault of the service: a status code that clients act on and a text that says which
check failed, on what, and what was expected. Nothing is stored by a request that is refused.

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
    """Which domain a refusal is about, as a fault spells it; None for what it does not say."""

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
    ) -> None:
        super().__init__(text)
        self.text = text
        self.custom_data = custom_data
        self.redirect_url = redirect_url
        self.domain = domain


class InternalError(Refusal):
    """The server could not do what it should."""

    status = StatusCode.INTERNAL_ERROR


class InvalidMessage(Refusal):
    """Something received is not what the format says; the one error type of all parsers."""

    status = StatusCode.INVALID_MESSAGE


class DeviceCertificateRevoked(Refusal):
    """A certificate of the client's chain is on a revocation list."""

    status = StatusCode.DEVICE_CERTIFICATE_REVOKED


class DeviceLimitReached(Refusal):
    """The domain has no free place."""

    status = StatusCode.DEVICE_LIMIT_REACHED


class ServiceSpecific(Refusal):
    """The service's own reason, such as a bad parameter or a role that is not served."""

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
    """The challenge is of a version that is not served."""

    status = StatusCode.PROTOCOL_VERSION_MISMATCH


class UnknownAccountId(Refusal):
    """There is no such account."""

    status = StatusCode.UNKNOWN_ACCOUNT_ID


class ProtocolRedirect(Refusal):
    """The client should ask at another URL."""

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
