"""Root licences in the store: under which content key each device's leaves are chained."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import ClauseElement, Dialect, bindparam, select

from rightsmanager.protocol.wire import Kid
from rightsmanager.store.statements import INSERTS, Clause, Queries
from rightsmanager.store.tables import ROOT_LICENSES


class Roots(Queries):
    """The part of a transaction that is about root licences."""

    def record(self, device: str, kid: Kid, ciphertext: bytes) -> None:
        """Keep the ciphertext content key of a device's root licence in place of an older one's."""
        self._run("replace root", {"device": device, "kid": kid.raw, "ciphertext": ciphertext})

    def find(self, device: str, kid: Kid) -> bytes | None:
        """Return the ciphertext content key of the root licence that a device got last, or None."""
        row = self._run("find root", {"device": device, "kid": kid.raw}).fetchone()
        return None if row is None else bytes(row[0])


_OF_DEVICE_AND_KID: Final = (
    ROOT_LICENSES.c.device == bindparam("device"),
    ROOT_LICENSES.c.kid == bindparam("kid"),
)


def _replace_root(dialect: Dialect) -> ClauseElement:
    values: dict[str, Any] = {each.name: bindparam(each.name) for each in ROOT_LICENSES.columns}
    insert: Any = INSERTS[dialect.name](ROOT_LICENSES).values(values)
    statement: ClauseElement = insert.on_conflict_do_update(
        index_elements=["device", "kid"], set_={"ciphertext": insert.excluded.ciphertext}
    ).inline()
    return statement


ROOT_STATEMENTS: Final[Mapping[str, Clause]] = {
    "replace root": _replace_root,
    "find root": lambda _: select(ROOT_LICENSES.c.ciphertext).where(*_OF_DEVICE_AND_KID),
}
"""Every statement about root licences, by what it does."""
