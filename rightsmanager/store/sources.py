"""The origins of content keys in the store, and the parts of programs that they belong to.

A program has one key in each key period: of two requests that make one at the same moment the
first is kept, by a constraint.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Row, bindparam, delete, func, select

from rightsmanager.protocol.wire import Kid
from rightsmanager.store.component import Component, insert_once, values_of
from rightsmanager.store.tables import CONTENT_SOURCES

OPERATOR: Final = "operator"
PACKAGER: Final = "packager"
IMPORT: Final = "import"

_SOURCE: Final = CONTENT_SOURCES.c
_RECORD: Final = insert_once(CONTENT_SOURCES)
_FIND_ALL: Final = select(CONTENT_SOURCES)
_FIND: Final = _FIND_ALL.where(_SOURCE.kid == bindparam("kid"))
_FIND_KID: Final = select(_SOURCE.kid).where(
    _SOURCE.program_digest == bindparam("program_digest"), _SOURCE.period == bindparam("period")
)
_FIND_LAST: Final = select(func.max(_SOURCE.period)).where(
    _SOURCE.program_digest == bindparam("program_digest")
)
_REMOVE: Final = delete(CONTENT_SOURCES).where(_SOURCE.kid == bindparam("kid"))


@dataclass(frozen=True, slots=True)
class Source:
    """The origin of a content key and its use; the periods of each program count from 0."""

    origin: str = OPERATOR
    program: str | None = None
    period: int | None = None
    """A number where there is a program, else None."""
    scheme: str | None = None
    """The protection scheme of ISO/IEC 23001-7, if known."""
    iv: bytes | None = None
    """The explicit IV, if there is one."""


class Sources(Component):
    """Sources by the KID of their key."""

    def record(self, kid: Kid, source: Source) -> bool:
        """Record a key's source; return False where the KID or program and period have one."""
        digest = None if source.program is None else _digest(source.program)
        row = {**values_of(source), "kid": kid, "program_digest": digest}
        return self._count(_RECORD, row) == 1

    def find(self, kid: Kid) -> Source:
        """Return the source of a key: the operator's where none is recorded."""
        row = self._execute(_FIND, {"kid": kid}).first()
        return Source() if row is None else _source(row)

    def find_all(self) -> dict[Kid, Source]:
        """Return the recorded sources; the source of any other key is the operator."""
        return {row.kid: _source(row) for row in self._execute(_FIND_ALL)}

    def find_kid(self, program: str, period: int) -> Kid | None:
        """Return the KID of a program's key in a period, or None."""
        values = {"program_digest": _digest(program), "period": period}
        found: Kid | None = self._execute(_FIND_KID, values).scalar()
        return found

    def find_last_period(self, program: str) -> int | None:
        """Return the last period of a program that has a key, None without any."""
        values = {"program_digest": _digest(program)}
        found: int | None = self._execute(_FIND_LAST, values).scalar()
        return found

    def remove(self, kid: Kid) -> None:
        """Remove a key's source."""
        self._execute(_REMOVE, {"kid": kid})


def _source(row: Row[tuple[object, ...]]) -> Source:
    return Source(row.origin, row.program, row.period, row.scheme, row.iv)


def _digest(program: str) -> bytes:
    return hashlib.sha256(program.encode()).digest()
