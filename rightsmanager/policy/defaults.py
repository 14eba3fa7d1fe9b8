"""The server's side of a decision: default policy, default domain and rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.grants import Policy
from rightsmanager.policy.rules import Rules
from rightsmanager.protocol.formats.wrmheader import Header
from rightsmanager.protocol.wire import AccountId, Kid, ServiceId


@dataclass(frozen=True, slots=True)
class DefaultDomain:
    """The domain to bind licences to when the request names no account."""

    service_id: ServiceId | None = None
    """The DS_ID of headers whose licences are bound to the account."""
    account_id: AccountId | None = None
    """The account of such content, if any."""

    def find_account(self, header: Header) -> AccountId | None:
        """Return the account that a header's licences are bound to, or None."""
        if header.ds_id is None or header.ds_id != self.service_id:
            return None
        return self.account_id

    def require_account(self, name: str) -> AccountId:
        """Return the account; raises ServiceSpecific, which says `name`, if there is none."""
        if self.account_id is None:
            raise ServiceSpecific(
                f"{name} is bound to a domain, expected accountid or a default account in the "
                "settings"
            )
        return self.account_id


@dataclass(frozen=True, slots=True)
class Clocks:
    """The time of a request by the server's and the client's clock, in Unix seconds."""

    server: int
    client: int


NO_DOMAIN: Final = DefaultDomain()


@dataclass(frozen=True, slots=True)
class LicenseDefaults:
    """Everything that a server adds to a request to decide on it."""

    policy: Policy = field(default_factory=Policy)
    domain: DefaultDomain = NO_DOMAIN
    rules: Rules = field(default_factory=Rules)
    tracks: Mapping[str, Policy] = field(default_factory=dict)
    """The policies of tracks, in place of `policy`."""
    by_kid: Mapping[Kid, Policy] = field(default_factory=dict)
    """Those of one request's KIDs whose keys have a track."""
