"""`/licenses`, `/devices` and `/sessions`: what devices have and reported."""

from typing import Any, Final

from flask_openapi3.models.tag import Tag
from pydantic import Field

from rightsmanager.admin.issued import IssuedReader
from rightsmanager.admin.ledger import LedgerReader
from rightsmanager.admin.refusals import NotFound
from rightsmanager.store.licenses import LicenseFilter
from rightsmanager.web.api.models import (
    Base64,
    DeviceText,
    Id,
    KidText,
    Moment,
    Name,
    PageQuery,
    PageReply,
    Path,
    Reply,
    Time,
    TimeText,
)
from rightsmanager.web.api.routes import Routes
from rightsmanager.web.cursors import cursor_of

LICENSES: Final = Tag(name="licenses", description="Issued licences.")
DEVICES: Final = Tag(name="devices", description="Devices with licences, and their ledger.")
SESSIONS: Final = Tag(name="sessions", description="Playback sessions under secure stop.")


class LicenseQuery(PageQuery):
    """The licences to list."""

    device: DeviceText | None = None
    kid: KidText | None = None
    since: TimeText | None = Field(None, description="Issued then or later.")
    before: TimeText | None = Field(None, description="Issued before that.")


class SessionQuery(PageQuery):
    """The sessions to list."""

    device: DeviceText | None = None
    kid: KidText | None = None


class DevicePath(Path):
    """The path of a device."""

    device: DeviceText


class DeviceKidPath(DevicePath):
    """The path of a KID in a device's ledger."""

    kid: KidText


class LicenseModel(Reply):
    """An issued licence."""

    issued_at: Time
    device: str
    kid: Id
    license_id: Base64
    policy: dict[str, Any] = Field(description="The grant, without the content key.")
    result: str | None = Field(description="HRESULT of the acknowledgement, null without one.")


class LicensePage(PageReply):
    """Licences, newest first."""

    licenses: list[LicenseModel]


class DeviceModel(Reply):
    """A device that licences were issued to."""

    device: str
    licenses: int = Field(description="Their number.")
    first_at: Time
    last_at: Time


class DevicePage(PageReply):
    """Devices in the order of their ids."""

    devices: list[DeviceModel]


class LedgerEntryModel(Reply):
    """A persistent licence."""

    kid: Id
    state: Name = Field(description="issued, acknowledged, failed, deleted or expired.")
    license_id: Base64
    issued_at: Time
    expires_at: Time | None
    deleted_at: Time | None
    result: str | None = Field(description="HRESULT of the acknowledgement, null without one.")


class DeletedModel(Reply):
    """A KID that was reported as deleted, without a licence ever issued for it."""

    kid: Id
    session_id: Id
    deleted_at: Time


class LedgerModel(Reply):
    """The persistent licences of a device."""

    device: str
    licenses: list[LedgerEntryModel]
    unknown: list[DeletedModel]


class LedgerAnswerModel(Reply):
    """Whether a device needs a new licence for a KID."""

    device: str
    kid: Id
    must_ask_again: bool
    licenses: list[LedgerEntryModel]


class SessionModel(Reply):
    """A playback session in the state of its last report."""

    device: str
    session_id: Id
    kid: Id
    mid: Id
    started_at: Moment
    updated_at: Moment
    stopped: bool = Field(description="Whether it ended cleanly.")
    proven: bool = Field(description="Whether secure stop 2 proved this state.")
    reported_at: Time
    changed_at: Time


class SessionPage(PageReply):
    """Sessions, in the order of their first report."""

    sessions: list[SessionModel]


def add_licenses(routes: Routes, issued: IssuedReader) -> None:
    """Add the operation on licences."""

    @routes.get("/licenses", "List issued licences, newest first", LicensePage)
    def list_licenses(query: LicenseQuery) -> LicensePage:
        since = None if query.since is None else int(query.since.timestamp())
        before = None if query.before is None else int(query.before.timestamp())
        chosen = LicenseFilter(query.device, query.kid, since, before)
        page = issued.find_license_page(chosen, query.cut())
        shown = [LicenseModel.of(each) for each in page.items]
        return LicensePage(licenses=shown, next=cursor_of(page))


def add_devices(routes: Routes, issued: IssuedReader, ledger: LedgerReader) -> None:
    """Add the operations on devices."""
    path = "/devices/<device>"

    @routes.get("/devices", "List devices with licences", DevicePage)
    def list_devices(query: PageQuery) -> DevicePage:
        page = issued.find_device_page(query.cut())
        shown = [DeviceModel.of(each) for each in page.items]
        return DevicePage(devices=shown, next=cursor_of(page))

    @routes.get(path, "Show a device", DeviceModel, 404)
    def show_device(path: DevicePath) -> DeviceModel:
        device = issued.find_device(path.device)
        if device is None:
            raise NotFound(f"device {path.device} has no licences")
        return DeviceModel.of(device)

    @routes.get(f"{path}/ledger", "Show the persistent licences of a device", LedgerModel)
    def show_ledger(path: DevicePath) -> LedgerModel:
        return LedgerModel.of(ledger.find(path.device))

    @routes.get(
        f"{path}/ledger/<kid>", "Say whether a device needs a new licence", LedgerAnswerModel
    )
    def ask_ledger(path: DeviceKidPath) -> LedgerAnswerModel:
        return LedgerAnswerModel.of(ledger.ask(path.device, path.kid))


def add_sessions(routes: Routes, issued: IssuedReader) -> None:
    """Add the operation on sessions."""

    @routes.get("/sessions", "List playback sessions", SessionPage)
    def list_sessions(query: SessionQuery) -> SessionPage:
        page = issued.find_session_page(query.device, query.kid, query.cut())
        shown = [SessionModel.of(each) for each in page.items]
        return SessionPage(sessions=shown, next=cursor_of(page))
