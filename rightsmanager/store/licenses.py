"""Issued licences in the store."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, and_, bindparam, delete, desc, func, select

from rightsmanager.protocol.wire import Kid
from rightsmanager.store import hot
from rightsmanager.store.component import Component, record_of
from rightsmanager.store.paging import Cut, Order, Page, map_page
from rightsmanager.store.tables import ACKNOWLEDGEMENTS, BATCH_ROWS, LICENSES, TRANSACTIONS

_LICENSE: Final = LICENSES.c
_FIND_ALL: Final = select(LICENSES).order_by(_LICENSE.issued_at, _LICENSE.request, _LICENSE.ordinal)
_FIND_NEWEST: Final = select(LICENSES).order_by(
    _LICENSE.issued_at.desc(), _LICENSE.request, _LICENSE.ordinal
)
_SELECT_DEVICES: Final = select(
    _LICENSE.device,
    func.count().label("licenses"),
    func.min(_LICENSE.issued_at).label("first_at"),
    func.max(_LICENSE.issued_at).label("last_at"),
).group_by(_LICENSE.device)
_FIND_DEVICES: Final = _SELECT_DEVICES.order_by(desc("last_at"), _LICENSE.device)
_DEVICE_ORDER: Final = Order((_LICENSE.device,))
_ORDER: Final = Order((_LICENSE.issued_at, _LICENSE.request, _LICENSE.ordinal), newest_first=True)
# A request is repeated under several transaction ids where it names one: the first result counts.
_RESULT: Final = (
    select(func.min(ACKNOWLEDGEMENTS.c.result))
    .join(
        TRANSACTIONS,
        and_(
            TRANSACTIONS.c.transaction_id == ACKNOWLEDGEMENTS.c.transaction_id,
            TRANSACTIONS.c.device == ACKNOWLEDGEMENTS.c.device,
        ),
    )
    .where(
        TRANSACTIONS.c.request == _LICENSE.request,
        ACKNOWLEDGEMENTS.c.device == _LICENSE.device,
        ACKNOWLEDGEMENTS.c.kid == _LICENSE.kid,
    )
    .scalar_subquery()
)
_SELECT: Final = select(LICENSES, _RESULT.label("result"))
# Batches are ranges of the primary key: the table has no index of times, as each index would make
# every licence slower.
_FIND_END_OF_BATCH: Final = (
    select(_LICENSE.request)
    .where(_LICENSE.request > bindparam("after"))
    .order_by(_LICENSE.request, _LICENSE.ordinal)
    .limit(1)
    .offset(BATCH_ROWS - 1)
)
_REMOVE_OLD: Final = delete(LICENSES).where(
    _LICENSE.request > bindparam("after"),
    _LICENSE.request <= bindparam("last"),
    _LICENSE.issued_at < bindparam("before"),
)
_MAX_REQUEST: Final = b"\xff" * 32


@dataclass(frozen=True, slots=True)
class IssuedLicense:
    """A licence of one reply."""

    device: str
    """The device id."""
    request: bytes
    """SHA-256 of device, challenge and granted licences, 32 bytes."""
    ordinal: int
    """The rank of the licence among those of the request, from 0."""
    kid: Kid
    license_id: bytes
    """16 bytes."""
    policy: str
    """The grant as JSON, without the content key."""
    issued_at: int
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class LicenseFilter:
    """Conditions on licences; None for no condition."""

    device: str | None = None
    """The device id."""
    kid: Kid | None = None
    since: int | None = None
    """Issued at this time or later, Unix seconds."""
    before: int | None = None
    """Issued before this time, Unix seconds."""

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """Yield the conditions of a statement."""
        if self.device is not None:
            yield _LICENSE.device == self.device
        if self.kid is not None:
            yield _LICENSE.kid == self.kid
        if self.since is not None:
            yield _LICENSE.issued_at >= self.since
        if self.before is not None:
            yield _LICENSE.issued_at < self.before


@dataclass(frozen=True, slots=True)
class ListedLicense:
    """A licence of a page, with its acknowledgement."""

    license: IssuedLicense
    result: int | None
    """The HRESULT of the device's acknowledgement, None without one."""


@dataclass(frozen=True, slots=True)
class LicensedDevice:
    """A device that licences were issued to; times are in Unix seconds."""

    device: str
    """The device id."""
    licenses: int
    """Their count."""
    first_at: int
    last_at: int


class Licenses(Component):
    """Issued licences by request and rank."""

    def record(self, licenses: Sequence[IssuedLicense]) -> list[bytes]:
        """Record the licences of one reply; return their recorded license ids.

        Of a repeated request these are the ids of the first time.
        """
        new = 0
        for license_ in licenses:
            row = {
                "request": license_.request,
                "ordinal": license_.ordinal,
                "device": license_.device,
                "kid": license_.kid.raw,
                "license_id": license_.license_id,
                "policy": license_.policy,
                "issued_at": license_.issued_at,
            }
            new += hot.RECORD_LICENSE.execute(self._link, row).rowcount
        if new == len(licenses):
            return [license_.license_id for license_ in licenses]
        values = {"request": licenses[0].request}
        rows = hot.FIND_LICENSE_IDS.execute(self._link, values).fetchall()
        recorded = {ordinal: bytes(license_id) for ordinal, license_id in rows}
        return [recorded[license_.ordinal] for license_ in licenses]

    def find_all(self) -> list[IssuedLicense]:
        """Return every issued licence, oldest first."""
        return [record_of(IssuedLicense, row) for row in self._execute(_FIND_ALL)]

    def find_newest(self, chosen: LicenseFilter, limit: int) -> list[IssuedLicense]:
        """Return at most `limit` licences that meet a filter, newest first."""
        statement = _FIND_NEWEST.where(*chosen.conditions()).limit(limit)
        return [record_of(IssuedLicense, row) for row in self._execute(statement)]

    def find_devices(self, limit: int) -> list[LicensedDevice]:
        """Return at most `limit` devices with licences, the one with the newest first."""
        rows = self._execute(_FIND_DEVICES.limit(limit))
        return [record_of(LicensedDevice, row) for row in rows]

    def find_page(self, chosen: LicenseFilter, cut: Cut) -> Page[ListedLicense]:
        """Return a page of the licences that meet a filter, newest first."""
        statement = _SELECT.where(*chosen.conditions())
        page = _ORDER.page(self._execute(_ORDER.cut(statement, cut)).all(), cut)
        return map_page(page, [_listed(row) for row in page.items])

    def find_devices_page(self, cut: Cut) -> Page[LicensedDevice]:
        """Return a page of the devices with licences, in the order of their ids."""
        statement = _SELECT_DEVICES
        page = _DEVICE_ORDER.page(self._execute(_DEVICE_ORDER.cut(statement, cut)).all(), cut)
        return map_page(page, [record_of(LicensedDevice, row) for row in page.items])

    def find_device(self, device: str) -> LicensedDevice | None:
        """Return a device with licences, or None."""
        row = self._execute(_SELECT_DEVICES.where(_LICENSE.device == device)).first()
        return None if row is None else record_of(LicensedDevice, row)

    def remove_old(self, before: int, after: bytes = b"") -> tuple[int, bytes | None]:
        """Remove the licences issued before a time among the BATCH_ROWS that follow a request.

        Returns their count, and the request to go on after, None at the end.
        """
        end: bytes | None = self._execute(_FIND_END_OF_BATCH, {"after": after}).scalar()
        values = {"after": after, "last": end or _MAX_REQUEST, "before": before}
        return self._count(_REMOVE_OLD, values), end


def _listed(row: Row[Any]) -> ListedLicense:
    values = dict(row._mapping)  # noqa: SLF001 -- SQLAlchemy's documented name
    result = values.pop("result")
    return ListedLicense(IssuedLicense(**values), result)
