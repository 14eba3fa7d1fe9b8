"""`/domains`: accounts, each with its domain and members."""

from typing import Annotated, Final, Literal

from flask_openapi3.models.tag import Tag
from pydantic import Field

from rightsmanager.admin.domains import (
    MAX_LIMIT,
    MAX_URL,
    DomainAdministration,
    account_facts,
    details_facts,
)
from rightsmanager.operations.domain_authority import MAX_NAME
from rightsmanager.web.api.models import (
    AccountText,
    Base64,
    DeviceText,
    Id,
    Name,
    PageQuery,
    PageReply,
    Path,
    Reply,
    Request,
    Time,
)
from rightsmanager.web.api.routes import Routes
from rightsmanager.web.cursors import cursor_of

DOMAINS: Final = Tag(name="domains", description="Accounts, each of which has one domain.")

FriendlyName = Annotated[str, Field(max_length=MAX_NAME, examples=["The family"])]
Url = Annotated[
    str, Field(max_length=MAX_URL, description="URL for joining; empty: the settings' one.")
]
Limit = Annotated[int, Field(ge=0, le=MAX_LIMIT, description="Largest number of members.")]


class NewAccount(Request):
    """An account to create; the settings give the missing values."""

    account_id: AccountText | None = Field(
        None, description="GUID or base64; random if it is missing."
    )
    friendly_name: FriendlyName | None = None
    url: Url = ""
    limit: Limit | None = None


class AccountChange(Request):
    """Changes of an account; missing values stay as they are."""

    friendly_name: FriendlyName | None = None
    url: Url | None = None
    limit: Limit | None = None
    closed: bool | None = Field(None, description="Whether it is closed.")


class AccountPath(Path):
    """The path of an account."""

    account_id: AccountText


class MemberPath(AccountPath):
    """The path of a device of an account."""

    device: DeviceText


class AccountModel(Reply):
    """An account, which has one domain."""

    account_id: Id
    service_id: Id
    friendly_name: str
    url: str = Field(description="URL for joining; empty: the settings' one.")
    limit: int = Field(description="Largest number of members.")
    members: int = Field(description="Number of members.")
    revision: int = Field(description="The newest revision of its domain.")
    created_at: Time
    closed_at: Time | None


class RevisionModel(Reply):
    """A revision of a domain."""

    revision: int
    key_fingerprint: str = Field(description="SHA-256 of its public key.")
    certificate_digest: Base64 = Field(description="Base64; for revoking its certificate.")
    made_at: Time


class MemberModel(Reply):
    """A device that is or was a member."""

    device: str = Field(description="Base64 of the SHA-256 of the device's signing key.")
    name: str = Field(description="Name that the device gave.")
    state: Annotated[Literal["member", "left", "removed"], *Name.__metadata__]
    joined_at: Time
    revision: int = Field(description="The newest revision that the device has.")
    ended_at: Time | None


class DetailedAccountModel(AccountModel):
    """An account with the revisions of its domain, newest first, and its devices."""

    revisions: list[RevisionModel]
    devices: list[MemberModel] = Field(description="Present and former members.")


class AccountPage(PageReply):
    """Accounts, oldest first."""

    accounts: list[AccountModel]


def add_domains(routes: Routes, domains: DomainAdministration) -> None:
    """Add the operations on accounts."""
    _add_accounts(routes, domains)
    _add_account(routes, domains)
    _add_members(routes, domains)


def _add_accounts(routes: Routes, domains: DomainAdministration) -> None:
    @routes.get("/domains", "List accounts, oldest first", AccountPage)
    def list_domains(query: PageQuery) -> AccountPage:
        page = domains.find_page(query.cut())
        accounts = [AccountModel.of(account_facts(each)) for each in page.items]
        return AccountPage(accounts=accounts, next=cursor_of(page))

    @routes.post("/domains", "Create an account", AccountModel, 409, status=201)
    def create_domain(body: NewAccount) -> AccountModel:
        account = domains.create(
            body.account_id,
            friendly_name=body.friendly_name,
            url=body.url,
            limit=body.limit,
        )
        return AccountModel.of(account_facts(account))


def _add_account(routes: Routes, domains: DomainAdministration) -> None:
    path = "/domains/<account_id>"

    @routes.get(path, "Show an account", DetailedAccountModel, 404)
    def show_domain(path: AccountPath) -> DetailedAccountModel:
        return DetailedAccountModel.of(details_facts(domains.find_account(path.account_id)))

    @routes.patch(path, "Change, close or reopen an account", AccountModel, 404, 409)
    def change_domain(path: AccountPath, body: AccountChange) -> AccountModel:
        account = domains.change(
            path.account_id,
            friendly_name=body.friendly_name,
            url=body.url,
            limit=body.limit,
            closed=body.closed,
        )
        return AccountModel.of(account_facts(account))

    @routes.delete(path, "Close an account; nothing is deleted", AccountModel, 404, 409)
    def close_domain(path: AccountPath) -> AccountModel:
        return AccountModel.of(account_facts(domains.close(path.account_id)))

    @routes.post(f"{path}/renew", "Make the next revision of a domain", AccountModel, 404)
    def renew_domain(path: AccountPath) -> AccountModel:
        return AccountModel.of(account_facts(domains.renew(path.account_id)))


def _add_members(routes: Routes, domains: DomainAdministration) -> None:
    path = "/domains/<account_id>/members/<device>"

    @routes.delete(path, "Remove a member, and renew the domain", AccountModel, 404)
    def remove_member(path: MemberPath) -> AccountModel:
        account = domains.remove(path.account_id, path.device)
        return AccountModel.of(account_facts(account))

    @routes.post(f"{path}/allow", "Let a removed device join again", AccountModel, 404, 409)
    def allow_device(path: MemberPath) -> AccountModel:
        account = domains.allow(path.account_id, path.device)
        return AccountModel.of(account_facts(account))
