"""A list of content keys as CSV, in UTF-8.

    kid       a GUID, 32 hexadecimal digits, or base64 of 16 bytes
    key       32 hexadecimal digits, or base64 of 16 bytes
    type      aesctr or aescbc; empty for aesctr
    program   empty for none
    period    a number; empty for 0 if there is a program
    track     the kind of streams that the key encrypts, such as uhd; empty for none

The first row has the names of the columns in any order; kid and key are required.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.keylists.entry import KEY_TYPES, KeyEntry
from rightsmanager.protocol.wire import Kid, parse_content_key, parse_track

COLUMNS: Final = ("kid", "key", "type", "program", "period", "track")
_NEEDED: Final = frozenset(("kid", "key"))
_MAX_DIGITS: Final = 10


def parse_table(data: bytes) -> tuple[KeyEntry, ...]:
    """Return the keys of a list; raises InvalidMessage with the line number."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidMessage("the list is not UTF-8") from None
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return tuple(_entries(rows, _columns(next(rows, []))))
    except (csv.Error, InvalidMessage) as error:
        raise InvalidMessage(f"line {rows.line_num}: {error}") from None


def build_table(entries: Iterable[KeyEntry]) -> bytes:
    """Return the list of these keys."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for entry in entries:
        period = "" if entry.period is None else entry.period
        slot = (entry.program or "", period, entry.track or "")
        writer.writerow((entry.kid.text, entry.key.hex(), entry.key_type, *slot))
    return text.getvalue().encode()


def _columns(names: list[str]) -> list[str]:
    columns = [name.strip().lower() for name in names]
    if not _NEEDED <= set(columns) <= set(COLUMNS) or len(set(columns)) < len(columns):
        raise InvalidMessage(
            f"the columns are {', '.join(columns)[:64]!r}, expected {', '.join(COLUMNS)}, "
            "of which kid and key must be there"
        )
    return columns


def _entries(rows: Iterator[list[str]], columns: list[str]) -> Iterator[KeyEntry]:
    for row in rows:
        if not row:
            continue
        if len(row) != len(columns):
            raise InvalidMessage(f"{len(row)} fields found, expected {len(columns)}")
        yield _entry(dict(zip(columns, row, strict=True)))


def _entry(row: Mapping[str, str]) -> KeyEntry:
    key_type = row.get("type", "").strip().lower() or "aesctr"
    if key_type not in KEY_TYPES:
        raise InvalidMessage(f"the type is {key_type[:32]!r}, expected {' or '.join(KEY_TYPES)}")
    program = row.get("program") or None
    track = row.get("track", "").strip()
    return KeyEntry(
        kid=Kid.parse(row["kid"]),
        key=parse_content_key(row["key"], "the content key"),
        key_type=key_type,
        program=program,
        period=_period(row.get("period", "").strip(), program),
        track=parse_track(track) if track else None,
    )


def _period(text: str, program: str | None) -> int | None:
    if not text:
        return None if program is None else 0
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise InvalidMessage(f"the period is {text[:32]!r}, expected a number")
    return int(text)
