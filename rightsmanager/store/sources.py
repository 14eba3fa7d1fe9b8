"""Where content keys come from, and for which part of which program each one is.

A program has one key in each key period: of two requests that make one at the same moment the
constraint lets the first one stand.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, delete, select

from rightsmanager.protocol.wire import Kid
from rightsmanager.store.statements import Clause, Queries, insert_once
from rightsmanager.store.tables import CONTENT_SOURCES

OPERATOR: Final = "operator"
PACKAGER: Final = "packager"
IMPORT: Final = "import"


@dataclass(frozen=True, slots=True)
class Source:
    """Who brought a content key, and what it is for; all of a program's periods count from 0."""

    origin: str = OPERATOR
    program: str | None = None
    period: int | None = None
    """A number where there is a program, else None."""
    scheme: str | None = None
    """The protection scheme of ISO/IEC 23001-7, if it is known."""
    iv: bytes | None = None
    """The explicit IV, if there is one."""


class Sources(Queries):
    """The part of a transaction that is about where content keys come from."""

    def record(self, kid: Kid, source: Source) -> bool:
        """Keep a key's source; return whether neither the KID nor program and period had one."""
        row = {
            "kid": kid.raw,
            "origin": source.origin,
            "program_digest": None if source.program is None else _digest(source.program),
            "period": source.period,
            "program": source.program,
            "scheme": source.scheme,
            "iv": source.iv,
        }
        return self._count("record source", row) == 1

    def find_kid(self, program: str, period: int) -> Kid | None:
        """Return the KID of a program's key in a period, or None."""
        key = {"program_digest": _digest(program), "period": period}
        row = self._run("find program kid", key).fetchone()
        return None if row is None else Kid(bytes(row[0]))

    def find_all(self) -> dict[Kid, Source]:
        """Return the source of each key that has one; a key without is the operator's."""
        return {Kid(bytes(kid)): _source(row) for kid, *row in self._run("find sources")}

    def find(self, kid: Kid) -> Source:
        """Return the source of a key; the operator's where none is recorded."""
        row = self._run("find source", {"kid": kid.raw}).fetchone()
        return Source() if row is None else _source(row[1:])

    def remove(self, kid: Kid) -> None:
        """Forget a key's source."""
        self._run("remove source", {"kid": kid.raw})


def _source(row: Sequence[Any]) -> Source:
    origin, program, period, scheme, iv = row
    return Source(origin, program, period, scheme, None if iv is None else bytes(iv))


def _digest(program: str) -> bytes:
    return hashlib.sha256(program.encode()).digest()


_SOURCE: Final = CONTENT_SOURCES.c
_OF_KID: Final[Any] = _SOURCE.kid == bindparam("kid")
_COLUMNS: Final = (
    _SOURCE.kid,
    _SOURCE.origin,
    _SOURCE.program,
    _SOURCE.period,
    _SOURCE.scheme,
    _SOURCE.iv,
)

SOURCE_STATEMENTS: Final[Mapping[str, Clause]] = {
    "record source": lambda dialect: insert_once(CONTENT_SOURCES, dialect),
    "find program kid": lambda _: select(_SOURCE.kid).where(
        _SOURCE.program_digest == bindparam("program_digest"),
        _SOURCE.period == bindparam("period"),
    ),
    "find sources": lambda _: select(*_COLUMNS),
    "find source": lambda _: select(*_COLUMNS).where(_OF_KID),
    "remove source": lambda _: delete(CONTENT_SOURCES).where(_OF_KID),
}
"""Every statement about sources, by what it does."""
