"""`/certificates`, `/settings`, `/retention` and `/request-tokens`: the server itself."""

from collections.abc import Sequence
from typing import Any, Final

from flask_openapi3.models.tag import Tag
from pydantic import Field

from rightsmanager.admin.management import Management
from rightsmanager.admin.retention import PURGES
from rightsmanager.settings import Settings
from rightsmanager.settings_loading import SettingInForce, settings_in_force
from rightsmanager.web.api.models import Base64, Id, KidText, Query, Reply, Request, Text
from rightsmanager.web.api.routes import Routes

CERTIFICATES: Final = Tag(name="certificates", description="The keyring's identities.")
SETTINGS: Final = Tag(name="settings", description="The settings in force.")
RETENTION: Final = Tag(name="retention", description="Removal of old records.")
REQUEST_TOKENS: Final = Tag(name="request tokens", description="Tokens for the included hooks.")

MAX_DAYS: Final = 36600
MAX_KIDS: Final = 1000
MAX_SECONDS: Final = 100 * 366 * 86400


class CertificateModel(Reply):
    """A certificate."""

    type: str
    security_level: int
    usages: list[str | int]
    digest: Base64 = Field(description="For revoking it.")
    expiry: int | None = Field(description="Unix seconds, null for never.")
    metering_id: Id | None


class IdentityModel(Reply):
    """An identity of the keyring."""

    name: str
    issuer: str | None = Field(description="The name of the identity that signs its certificate.")
    fingerprint: str | None = Field(description="Of its public key.")
    private_key: bool = Field(description="Whether the keyring has its private key.")
    certificate: CertificateModel | None


class IdentityList(Reply):
    """The identities of the keyring, issuers before what they sign."""

    identities: list[IdentityModel]


class SettingsQuery(Query):
    """The settings to list."""

    changed: bool = Field(default=False, description="Only those that are not at their default.")


class SettingModel(Reply):
    """A setting; the values of secret ones are masked."""

    name: str
    value: Any
    origin: str | None = Field(description="The variable, option or file; null for the default.")


class SettingList(Reply):
    """The settings in force."""

    settings: list[SettingModel]


class RetentionModel(Reply):
    """The kinds of removed records and their age."""

    keep_reports_days: int = Field(description="The age of records that purge removes by default.")
    kinds: list[str] = Field(description="The kinds of records that purge removes.")


class PurgeRequest(Request):
    """The records to remove."""

    older_than_days: int | None = Field(
        None, ge=0, le=MAX_DAYS, description="metering.keep_reports_days if it is missing."
    )


class RemovedModel(Reply):
    """The number of removed records of a kind."""

    kind: str
    count: int


class PurgeModel(Reply):
    """The removed records by kind."""

    removed: list[RemovedModel]


class RequestTokenRequest(Request):
    """A request token to sign."""

    subject: Text = Field("test", description="The bearer's name.")
    seconds: int = Field(3600, ge=1, le=MAX_SECONDS, description="The lifetime.")
    kids: list[KidText] = Field(default=[], max_length=MAX_KIDS, description="All if empty.")


class RequestTokenModel(Reply):
    """A signed request token."""

    token: str


def add_server(routes: Routes, management: Management, settings: Sequence[SettingInForce]) -> None:
    """Add the operations on the server itself."""
    _add_certificates(routes.of(CERTIFICATES), management)
    _add_settings(routes.of(SETTINGS), settings)
    _add_retention(routes.of(RETENTION), management)
    _add_request_tokens(routes.of(REQUEST_TOKENS), management)


def _add_certificates(routes: Routes, management: Management) -> None:
    @routes.get("/certificates", "Show the keyring's identities", IdentityList)
    def list_certificates() -> IdentityList:
        identities = [IdentityModel.of(each) for each in management.identities]
        return IdentityList(identities=identities)


def _add_settings(routes: Routes, settings: Sequence[SettingInForce]) -> None:
    @routes.get("/settings", "List the settings in force", SettingList)
    def list_settings(query: SettingsQuery) -> SettingList:
        defaults = {each.name: each.value for each in settings_in_force(Settings(), {})}
        chosen = [
            each for each in settings if not query.changed or each.value != defaults.get(each.name)
        ]
        return SettingList(settings=[_setting_model(each) for each in chosen])


def _setting_model(setting: SettingInForce) -> SettingModel:
    value = "**********" if setting.is_secret else setting.value
    return SettingModel(name=setting.name, value=value, origin=setting.origin)


def _add_retention(routes: Routes, management: Management) -> None:
    @routes.get("/retention", "Show what is removed, and when", RetentionModel)
    def show_retention() -> RetentionModel:
        days = management.options.keep_reports_days
        return RetentionModel(keep_reports_days=days, kinds=[each.name for each in PURGES])

    @routes.post("/retention/purge", "Remove old records", PurgeModel)
    def purge(body: PurgeRequest) -> PurgeModel:
        days = body.older_than_days
        removed = management.purge(None if days is None else days * 86400)
        shown = [RemovedModel(kind=kind, count=count) for kind, count in removed.items()]
        return PurgeModel(removed=shown)


def _add_request_tokens(routes: Routes, management: Management) -> None:
    @routes.post("/request-tokens", "Sign a request token", RequestTokenModel, status=201)
    def sign_request_token(body: RequestTokenRequest) -> RequestTokenModel:
        token = management.request_tokens.sign(body.subject, body.seconds, body.kids)
        return RequestTokenModel(token=token)
