"""The messages of the admin API, from which its OpenAPI description is made.

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
    Field(max_length=MAX_URL, description="URL for joining; empty: the settings' one."),
]
Limit = Annotated[int, Field(ge=0, le=MAX_LIMIT, description="Largest number of members.")]
AccountText = Annotated[
    str, Field(description="GUID.", examples=["5f4d1c1e-8e53-4a8e-9d0b-2f2f4b6f7a10"])
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class NewAccount(_Request):
    """An account to create; the settings give the missing values."""

    account_id: AccountText | None = Field(
        None, description="GUID or base64; random if it is missing."
    )
    friendly_name: FriendlyName | None = None
    url: Url = ""
    limit: Limit | None = None


class AccountChange(_Request):
    """Changes of an account; missing values stay as they are."""

    friendly_name: FriendlyName | None = None
    url: Url | None = None
    limit: Limit | None = None
    closed: bool | None = Field(None, description="Whether it is closed.")


class AccountPath(BaseModel):
    """The path of an account."""

    # Without examples: those of a parameter have another form than those of a schema.
    account_id: str = Field(description="GUID.")


class DevicePath(AccountPath):
    """The path of a device of an account."""

    device: str = Field(
        description="SHA-256 of the device's signing key, in hexadecimal digits or base64 for URLs."
    )


class Account(BaseModel):
    """An account, which has one domain."""

    account_id: AccountText
    service_id: str = Field(description="GUID.")
    friendly_name: str
    url: str = Field(description="URL for joining; empty: the settings' one.")
    limit: int = Field(description="Largest number of members.")
    members: int = Field(description="Number of members.")
    revision: int = Field(description="The newest revision of its domain.")
    created_at: datetime
    closed_at: datetime | None


class Revision(BaseModel):
    """A revision of a domain."""

    revision: int
    key_fingerprint: str = Field(description="SHA-256 of its public key.")
    certificate_digest: str = Field(description="Base64; for revoking its certificate.")
    made_at: datetime


class Device(BaseModel):
    """A device that is or was a member."""

    device: str = Field(description="Base64 of the SHA-256 of the device's signing key.")
    name: str = Field(description="Name that the device gave.")
    state: Literal["member", "left", "removed"]
    joined_at: datetime
    revision: int = Field(description="The newest revision that the device has.")
    ended_at: datetime | None


class AccountDetails(Account):
    """An account with the revisions of its domain, newest first, and its devices."""

    revisions: list[Revision]
    devices: list[Device] = Field(description="Present and former members.")


class AccountList(BaseModel):
    """All accounts, oldest first."""

    accounts: list[Account]


class ProblemModel(BaseModel):
    """The reason of a refusal."""

    error: str
    status_code: str = Field(examples=["0x8004c60c"])
