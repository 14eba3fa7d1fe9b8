"""The values that hooks receive: facts of a request, stream holders and events."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs

from rightsmanager.errors import Refusal
from rightsmanager.policy.rules import DecisionWarning
from rightsmanager.protocol.formats.bcert import Certificate
from rightsmanager.protocol.formats.wrmheader import Header
from rightsmanager.protocol.messages.acknowledgement import StorageResult
from rightsmanager.protocol.messages.metering import Usage
from rightsmanager.protocol.messages.secure_stop import Session
from rightsmanager.protocol.wire import AccountId, Kid, Mid, SessionId, TransactionId

KEY_ENDPOINT: Final = "KeyEndpoint"
"""The operation in facts of requests to the key endpoint."""
KEY_PROTOCOLS: Final = (
    *("cpix", "speke-2.0", "speke-2.1", "speke-1.0"),
    *("nginx-vod", "getcontentkey"),
)
"""The protocols of the key endpoint, which journal and metrics have as the operation."""


@dataclass(frozen=True, slots=True)
class RequestedKey:
    """A content key that a packager requests."""

    program: str | None
    """None for a key that belongs to no program; then there is a KID."""
    period: int = 0
    """The number of the key period, from 0."""
    kid: Kid | None = None
    """The KID that the packager has chosen."""
    scheme: str | None = None
    """Such as `cenc` or `cbcs`; None if the packager names none."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A request whose challenge is verified, or a packager's that may have keys."""

    operation: str
    """The wire name, such as `AcquireLicense`; `KeyEndpoint` for the key endpoint."""
    url: str
    """The URL of the service as the client spelled it, without its query."""
    query: str
    """Percent-encoded, with all names, such as tokens of players."""
    headers: Mapping[str, str] = field(repr=False)
    """HTTP headers by lower-case name."""
    remote: str
    """The client's address."""
    request_id: str = ""
    """As in the log."""
    protocol: str = ""
    """The protocol of a request to the key endpoint, such as `cpix` or `speke-2.0`."""
    device: str = ""
    """The device id: base64 of the SHA-256 of its signing key; empty for packagers."""
    security_level: int = 0
    """Of the device's certificate."""
    chain: tuple[Certificate, ...] = field(default=(), repr=False)
    """The device's certificates, its own first, each with `manufacturer` and `features`."""
    client_version: str = ""
    client_time: int = 0
    """The device's clock in Unix seconds; 0 if the challenge does not state it."""
    features: tuple[str, ...] = ()
    """Names of the features in an AcquireLicense challenge."""
    custom_data: str | None = None
    """The CustomData of the challenge."""
    kids: tuple[Kid, ...] = ()
    """The KIDs of the content header, or of the device's report."""
    header: Header | None = field(default=None, repr=False)
    """AcquireLicense: the content header, with `ds_id` and `custom_attributes`."""
    account_id: AccountId | None = None
    """JoinDomain and LeaveDomain: the account that the request names."""
    friendly_name: str | None = None
    """JoinDomain: the device's name for itself."""
    metering_id: Mid | None = None
    """Metering and secure stop: the metering id."""
    transaction_id: TransactionId | None = None
    """AcknowledgeLicense and ProcessMeteringData."""
    session_id: SessionId | None = None
    """ProcessDeleteLicenseData."""
    usage: tuple[Usage, ...] = ()
    """ProcessMeteringData: what was used how often."""
    sessions: tuple[Session, ...] = ()
    """ProcessSecureStopData: the playback sessions."""
    results: tuple[StorageResult, ...] = ()
    """AcknowledgeLicense: the result for each licence."""
    keys: tuple[RequestedKey, ...] = ()
    """AcquirePackagingData and KeyEndpoint: the requested keys."""

    @property
    def certificate(self) -> Certificate:
        """The device's own certificate; raises IndexError for packagers."""
        return self.chain[0]

    @property
    def query_values(self) -> Mapping[str, list[str]]:
        """The values of each name in the query, decoded."""
        return parse_qs(self.query, keep_blank_values=True)


@dataclass(frozen=True, slots=True)
class StreamHolder:
    """The owner of streams: a user by a hook, else an account, else a device."""

    account_id: AccountId | None
    device: str
    """The device id, as in Facts."""
    user: str | None = None
    """The name that a hook gave."""

    @property
    def name(self) -> str:
        """The holder's name in the store: `user:`, `account:` or `device:` and its id."""
        if self.user is not None:
            return f"user:{self.user}"
        if self.account_id is None:
            return f"device:{self.device}"
        return f"account:{self.account_id.text}"


@dataclass(slots=True)
class Progress:
    """The parts of a request that are known so far, for log, journal, events and response headers.

    An operation fills it, so that a refusal can be logged with its device and KIDs.
    """

    device: str = ""
    """The device id, as in Facts, once the device is authenticated."""
    kids: tuple[Kid, ...] = ()
    """KIDs of the header; at the end those that were issued, packaged or reported."""
    warnings: tuple[DecisionWarning, ...] = ()
    account_id: AccountId | None = None
    """The account that a domain's operation or a licence names."""
    custom_data: str | None = None
    """The CustomData of the challenge; it may contain content keys."""
    reply_custom_data: str | None = None
    """The CustomData that a hook chose for the reply."""
    verified: float = 0.0
    """When the device was authenticated, by the clock; 0 if that has not happened."""
    decided: float = 0.0
    """When it was decided what to grant."""
    recorded: float = 0.0
    """When the transaction was committed."""
    clock: Callable[[], float] = time.perf_counter
    """Returns seconds since an arbitrary origin."""


@dataclass(frozen=True, slots=True)
class Event:
    """The outcome of a request."""

    operation: str
    # A refusal may come before the device is known.
    device: str = ""
    """The device id, as in Facts; empty for packagers and devices that are not authenticated."""
    kids: tuple[Kid, ...] = ()
    """KIDs that were issued, packaged, acknowledged, played, stopped or deleted."""
    refusal: Refusal | None = None
    request_id: str = ""
    """As in Facts and in the log."""
