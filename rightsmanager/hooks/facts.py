"""The values that hooks receive: facts of a request, stream holders and events."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rightsmanager.errors import Refusal
from rightsmanager.policy.rules import DecisionWarning
from rightsmanager.protocol.formats.bcert import Certificate
from rightsmanager.protocol.formats.wrmheader import Header
from rightsmanager.protocol.wire import AccountId, Kid


@dataclass(frozen=True, slots=True)
class Facts:
    """A request whose challenge is verified."""

    operation: str
    """The wire name, such as `AcquireLicense`."""
    device: str
    """The device id: base64 of the SHA-256 of the device's signing key."""
    security_level: int
    certificate: Certificate = field(repr=False)
    """The device's certificate; its `manufacturer` has name, model name and model number."""
    kids: tuple[Kid, ...]
    """The KIDs of the content header; empty in other operations than AcquireLicense."""
    custom_data: str | None
    """The CustomData of the challenge, of AcquireLicense and JoinDomain."""
    url: str
    """Without its query."""
    query: str
    headers: Mapping[str, str] = field(repr=False)
    """HTTP headers by lower-case name."""
    remote: str
    """The client's address."""
    client_version: str = ""
    """Of an AcquireLicense challenge, empty otherwise."""
    client_time: int = 0
    """The device's clock in Unix seconds, of an AcquireLicense challenge."""
    features: tuple[str, ...] = ()
    """Names of the features in an AcquireLicense challenge."""
    header: Header | None = field(default=None, repr=False)
    """The content header, with `ds_id` and `custom_attributes`; None in other operations."""


@dataclass(frozen=True, slots=True)
class StreamHolder:
    """The owner of streams: a user by a hook, else an account, else a device."""

    account_id: AccountId | None
    device: str
    """The device id, as in Facts."""
    user: str | None = None
    """The name that the hook `stream_user` gave."""

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
