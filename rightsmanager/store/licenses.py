"""Issued licences in the store."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select

from rightsmanager.protocol.wire import Kid
from rightsmanager.store import hot
from rightsmanager.store.component import Component, record_of
from rightsmanager.store.tables import LICENSES

_LICENSE: Final = LICENSES.c
_FIND_ALL: Final = select(LICENSES).order_by(_LICENSE.issued_at, _LICENSE.request, _LICENSE.ordinal)


@dataclass(frozen=True, slots=True)
class IssuedLicense:
    """A licence of one reply."""

    device: str
    """The device id."""
    request: bytes
    """SHA-256 that identifies the request and its device, 32 bytes."""
    ordinal: int
    """The position of the licence in the reply, from 0."""
    kid: Kid
    license_id: bytes
    """16 bytes."""
    policy: str
    """The grant as JSON, without the content key."""
    issued_at: int
    """Unix seconds."""


class Licenses(Component):
    """Issued licences by request and position in the reply."""

    def record(self, licenses: Sequence[IssuedLicense]) -> list[bytes]:
        """Record the licences of one reply; return their recorded license ids.

        Of a repeated request these are the ids of the first time.
        """
        if self._record_new(licenses) == len(licenses):
            return [license_.license_id for license_ in licenses]
        values = {"request": licenses[0].request}
        rows = hot.FIND_LICENSE_IDS.execute(self._link, values).fetchall()
        recorded = {ordinal: bytes(license_id) for ordinal, license_id in rows}
        return [recorded[license_.ordinal] for license_ in licenses]

    def find_all(self) -> list[IssuedLicense]:
        """Return every issued licence, oldest first."""
        return [record_of(IssuedLicense, row) for row in self._execute(_FIND_ALL)]

    def _record_new(self, licenses: Sequence[IssuedLicense]) -> int:
        """Record the licences that are not there yet; return their count."""
        link = self._link
        return sum(
            hot.RECORD_LICENSE.execute(
                link,
                {
                    "request": license_.request,
                    "ordinal": license_.ordinal,
                    "device": license_.device,
                    "kid": license_.kid.raw,
                    "license_id": license_.license_id,
                    "policy": license_.policy,
                    "issued_at": license_.issued_at,
                },
            ).rowcount
            for license_ in licenses
        )
