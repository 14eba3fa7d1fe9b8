"""Issued licenses in the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, select

from rightsmanager.protocol.wire import Kid
from rightsmanager.store.statements import Clause, Queries, insert_once
from rightsmanager.store.tables import LICENSES


@dataclass(frozen=True, slots=True)
class IssuedLicense:
    """A licence that is about to leave the server."""

    device: str
    """Base64 of the SHA-256 of the device's signing key."""
    request: bytes
    """SHA-256 of what was asked, and by whom, 32 bytes."""
    ordinal: int
    kid: Kid
    license_id: bytes
    """The rights id, 16 bytes."""
    policy: str
    """The grant as JSON, without the content key."""
    issued_at: int
    """Unix seconds."""


class Licenses(Queries):
    """Issued licenses."""

    def record(self, licenses: Sequence[IssuedLicense]) -> list[bytes]:
        """Record the licences of one reply; return the rights ids that stand recorded.

        These are the given ones, or those of the first time if the request is a repeat.
        """
        new = sum(self._count("record license", _license_row(license_)) for license_ in licenses)
        if new == len(licenses):
            return [license_.license_id for license_ in licenses]
        rows = self._run("find rights ids", {"request": licenses[0].request})
        recorded = {ordinal: bytes(license_id) for ordinal, license_id in rows}
        return [recorded[license_.ordinal] for license_ in licenses]

    def find_all(self) -> list[IssuedLicense]:
        """Return every issued licence, oldest first."""
        return [_issued_license(row) for row in self._run("find licenses")]


def _license_row(license_: IssuedLicense) -> Mapping[str, object]:
    return {
        "device": license_.device,
        "request": license_.request,
        "ordinal": license_.ordinal,
        "kid": license_.kid.raw,
        "license_id": license_.license_id,
        "policy": license_.policy,
        "issued_at": license_.issued_at,
    }


def _issued_license(row: Sequence[Any]) -> IssuedLicense:
    request, ordinal, device, kid, license_id, policy, issued_at = row
    return IssuedLicense(
        device, bytes(request), ordinal, Kid(bytes(kid)), bytes(license_id), policy, issued_at
    )


LICENSE_STATEMENTS: Final[Mapping[str, Clause]] = {
    "record license": lambda dialect: insert_once(LICENSES, dialect),
    "find rights ids": lambda _: (
        select(LICENSES.c.ordinal, LICENSES.c.license_id)
        .where(LICENSES.c.request == bindparam("request"))
        .order_by(LICENSES.c.ordinal)
    ),
    "find licenses": lambda _: select(LICENSES).order_by(
        LICENSES.c.issued_at, LICENSES.c.request, LICENSES.c.ordinal
    ),
}
"""Every statement about licenses."""
