"""Root licences in the store: under which content key each device's leaves are chained."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import bindparam, delete, select

from rightsmanager.protocol.wire import Kid
from rightsmanager.store.statements import Clause, Queries, insert_once
from rightsmanager.store.tables import ROOT_LICENSES


class RootQueries(Queries):
    """The part of a transaction that is about root licences."""

    def record_root(self, device: str, kid: Kid, sealed: bytes) -> None:
        """Keep the sealed content key of a device's root licence in place of an older one's."""
        key = {"device": device, "kid": kid.raw}
        self._run("remove root", key)
        self._run("record root", {**key, "sealed": sealed})

    def find_root(self, device: str, kid: Kid) -> bytes | None:
        """Return the sealed content key of the root licence that a device got last, or None."""
        row = self._run("find root", {"device": device, "kid": kid.raw}).fetchone()
        return None if row is None else bytes(row[0])


_OF_DEVICE_AND_KID: Final = (
    ROOT_LICENSES.c.device == bindparam("device"),
    ROOT_LICENSES.c.kid == bindparam("kid"),
)

ROOT_STATEMENTS: Final[Mapping[str, Clause]] = {
    "remove root": lambda _: delete(ROOT_LICENSES).where(*_OF_DEVICE_AND_KID),
    "record root": lambda dialect: insert_once(ROOT_LICENSES, dialect),
    "find root": lambda _: select(ROOT_LICENSES.c.sealed).where(*_OF_DEVICE_AND_KID),
}
"""Every statement about root licences, by what it does."""
