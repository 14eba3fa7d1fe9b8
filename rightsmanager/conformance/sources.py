"""The published sources of the expected behaviour."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Source:
    """A document that says how a client behaves."""

    title: str
    url: str

    @property
    def text(self) -> str:
        """The source in one line."""
        return f"{self.title}, {self.url}"


_LEARN: Final = "https://learn.microsoft.com/en-us"

SERVER_ERRORS: Final = Source(
    "PlayReady Test Server, Server Errors: expected device behavior",
    "http://playready.directtaps.net/pr/doc/devicecore/servererrors.html",
)
JOINING: Final = Source(
    "LicenseAcquirer.DomainAcquirer: joins after DomainRequired and RenewDomain",
    f"{_LEARN}/previous-versions/windows/silverlight/dotnet-windows-silverlight/ee653026(v=vs.95)",
)
SERVERS: Final = Source(
    "PlayReady Server SDK: licences and their acknowledgement",
    f"{_LEARN}/playready/overview/server-sdk",
)
NONCE: Final = Source(
    "PlayReady, License Nonce: random in each request; others are rejected",
    f"{_LEARN}/playready/overview/license-nonce",
)
METERING: Final = Source(
    "PlayReady, Metering: reports are sent again under their transaction id, then cleared",
    f"{_LEARN}/playready/features/metering",
)
SECURE_STOP: Final = Source(
    "PlayReady, Secure Stop: the end of a playback is reported",
    f"{_LEARN}/playready/features/secure-stop-pk",
)
SECURE_DELETE: Final = Source(
    "PlayReady, Secure Delete: each deletion is reported",
    f"{_LEARN}/playready/features/secure-delete-pk",
)
MESSAGES: Final = Source(
    "Published samples of challenges and replies", "docs/protocol-status.md#operations"
)
XMLDSIG: Final = Source(
    "XML Signature Syntax and Processing", "https://www.w3.org/TR/xmldsig-core/"
)
LICENSES: Final = Source("Published samples of licences", "docs/protocol-status.md#formats")
