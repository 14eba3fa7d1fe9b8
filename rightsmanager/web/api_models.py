"""What the admin API takes and gives, as its OpenAPI description says it.

Dates are ISO 8601 in UTC.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from rightsmanager.admin.domains import MAX_LIMIT, MAX_URL
from rightsmanager.operations.domain_authority import MAX_NAME

FriendlyName = Annotated[str, Field(max_length=MAX_NAME, examples=["The family"])]
Url = Annotated[
    str,
    Field(max_length=MAX_URL, description="Where it is joined; empty: as the settings say."),
]
Limit = Annotated[int, Field(ge=0, le=MAX_LIMIT, description="How many members there may be.")]
AccountText = Annotated[
    str, Field(description="GUID.", examples=["5f4d1c1e-8e53-4a8e-9d0b-2f2f4b6f7a10"])
]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class NewAccount(_Asked):
    """An account to be made; what is not given is as the settings say."""

    account_id: AccountText | None = Field(
        None, description="GUID or base64; a random one if it is not given."
    )
    friendly_name: FriendlyName | None = None
    url: Url = ""
    limit: Limit | None = None


class AccountChange(_Asked):
    """What is to be changed of an account; what is not given stays."""

    friendly_name: FriendlyName | None = None
    url: Url | None = None
    limit: Limit | None = None
    closed: bool | None = Field(None, description="Whether it is closed.")


class AccountPath(BaseModel):
    """Which account."""

    # Without examples: those of a parameter have another form than those of a schema.
    account_id: str = Field(description="GUID.")


class DevicePath(AccountPath):
    """Which device of which account."""

    device: str = Field(
        description="SHA-256 of the device's signing key, in hexadecimal digits or base64 for URLs."
    )


class Account(BaseModel):
    """An account, which has one domain."""

    account_id: AccountText
    service_id: str = Field(description="GUID.")
    friendly_name: str
    url: str = Field(description="Where it is joined; empty: as the settings say.")
    limit: int = Field(description="How many members there may be.")
    members: int = Field(description="How many there are.")
    revision: int = Field(description="The newest one of its domain.")
    created_at: datetime
    closed_at: datetime | None


class Revision(BaseModel):
    """A revision of a domain."""

    revision: int
    key_fingerprint: str = Field(description="SHA-256 of its public key.")
    certificate_digest: str = Field(description="Base64; how its certificate can be revoked.")
    made_at: datetime


class Device(BaseModel):
    """A device that is or was a member."""

    device: str = Field(description="Base64 of the SHA-256 of the device's signing key.")
    name: str = Field(description="What the device calls itself.")
    state: Literal["member", "left", "removed"]
    joined_at: datetime
    revision: int = Field(description="The newest one that the device was given.")
    ended_at: datetime | None


class AccountDetails(Account):
    """An account with the revisions of its domain, newest first, and its devices."""

    revisions: list[Revision]
    devices: list[Device] = Field(description="Those that are members and those that were.")


class AccountList(BaseModel):
    """All accounts, oldest first."""

    accounts: list[Account]


class Problem(BaseModel):
    """Why a request is refused."""

    error: str
    status_code: str = Field(examples=["0x8004c60c"])
