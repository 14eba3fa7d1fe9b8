"""The values that hooks receive: facts of a request, stream holders and events."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rightsmanager.errors import Refusal
from rightsmanager.policy.rules import DecisionWarning
from rightsmanager.protocol.wire import AccountId, Kid


@dataclass(frozen=True, slots=True)
class Facts:
    """A request whose challenge is verified."""

    device: str
    """The device id: base64 of the SHA-256 of the device's signing key."""
    security_level: int
    client_version: str
    kids: tuple[Kid, ...]
    """The KIDs of the content header."""
    custom_data: str | None
    url: str
    """Without its query."""
    query: str
    headers: Mapping[str, str] = field(repr=False)
    """HTTP headers by lower-case name."""
    remote: str
    """The client's address."""


@dataclass(frozen=True, slots=True)
class StreamHolder:
    """The owner of streams: an account, or without one a device."""

    account_id: AccountId | None
    device: str
    """The device id, as in Facts."""

    @property
    def name(self) -> str:
        """The holder's name in the store: `account:` or `device:` and its id."""
        if self.account_id is None:
            return f"device:{self.device}"
        return f"account:{self.account_id.text}"


@dataclass(slots=True)
class Progress:
    """The parts of a request that are known so far, for the log, events and response headers.

    An operation fills it, so that a refusal can be logged with its device and KIDs.
    """

    device: str = ""
    """The device id, as in Facts, once the device is authenticated."""
    kids: tuple[Kid, ...] = ()
    """KIDs of the header; at the end those that were issued, packaged or reported."""
    warnings: tuple[DecisionWarning, ...] = ()


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
