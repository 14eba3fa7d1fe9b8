"""The parts that a page of the console is made of; one template shows all of them.

A page is a title and a list of blocks. All texts are plain: the template escapes them. Addresses
are relative to the console's own path.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar, Final
from urllib.parse import quote, urlencode

from rightsmanager.errors import InvalidMessage
from rightsmanager.inspection import Check, Description

GOOD: Final = "good"
BAD: Final = "bad"
OFF: Final = "off"
PLAIN: Final = "plain"

MAX_DIGITS: Final = 15
"""A longer number is over every limit."""

_MAX_WORD: Final = 24
"""A longer word may be broken anywhere, in characters."""
_MAX_NARROW: Final = 40
"""A longer text gets some width in a table, in characters."""
_SECONDS_A_DAY: Final = 86400


@dataclass(frozen=True, slots=True)
class Cell:
    """A value: text, maybe a link, a code or a state."""

    text: str
    href: str | None = None
    is_code: bool = False
    state: str | None = None
    """GOOD, BAD, OFF or PLAIN: shown as a coloured word."""
    when: str | None = None
    """The ISO 8601 form of a time."""
    is_number: bool = False
    is_short: bool = False
    """Whether only its first characters are shown."""
    is_act: bool = False
    """A link to an act on the thing of the row."""
    share: float | None = None
    """A bar below the value, from 0 to 1."""

    @property
    def style(self) -> str:
        """The class of its place in a table, empty for none."""
        if self.is_number:
            return "number"
        if self.is_act:
            return "act"
        if any(len(word) > _MAX_WORD for word in self.text.split()):
            return "" if self.is_code else "long"
        return "wide" if len(self.text) > _MAX_NARROW else ""


def code(text: str, href: str | None = None) -> Cell:
    """Return the cell of an identifier."""
    return Cell(text, href, is_code=True)


def short(text: str, href: str | None = None) -> Cell:
    """Return the cell of an identifier of which a few characters are enough to tell it apart."""
    return Cell(text, href, is_code=True, is_short=True)


def number(value: float, href: str | None = None) -> Cell:
    """Return the cell of a number."""
    return Cell(f"{value:,}", href, is_number=True)


def act_cell(title: str = "", href: str | None = None) -> Cell:
    """Return the last cell of a row: a link to an act, or nothing."""
    return Cell(title, href, is_act=True)


def state(text: str, tone: str) -> Cell:
    """Return the cell of a state."""
    return Cell(text, state=tone)


def time(when: datetime | float | None, otherwise: str = "") -> Cell:
    """Return the cell of a time in UTC, given as one or in Unix seconds."""
    if when is None:
        return Cell(otherwise)
    try:
        date = when if isinstance(when, datetime) else datetime.fromtimestamp(when, UTC)
    except (ValueError, OverflowError, OSError):
        # A device's clock may be beyond the year 9999.
        return Cell(str(when))
    return Cell(f"{date:%Y-%m-%d %H:%M:%S}", when=date.isoformat())


def link(path: str, /, *parts: str, **query: str) -> str:
    """Return an address of the console: parts of the path, and a query without empty values."""
    whole = "/".join((path, *(quote(part, safe="") for part in parts)))
    asked = urlencode({name.rstrip("_"): value for name, value in query.items() if value})
    return f"{whole}?{asked}" if asked else whole


def device_path(device: str) -> str:
    """Return a device id as addresses have it: base64 for URLs."""
    return device.replace("+", "-").replace("/", "_").rstrip("=")


@dataclass(frozen=True, slots=True)
class Act:
    """A link to a page that asks before it changes something, or to another form."""

    title: str
    href: str


@dataclass(frozen=True, slots=True)
class Empty:
    """The text in the place of an empty table: the next step, and a command or a link for it."""

    text: str
    command: str | None = None
    act: Act | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a form."""

    name: str
    label: str
    value: str = ""
    kind: str = "text"
    """`text`, `select`, `area`, `date`, `number`, `password`, `file`, `hidden` or `fixed`."""
    hint: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    """The values and texts of a `select`."""
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence that must not be missed."""

    kind: ClassVar = "notice"
    tone: str
    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Names with values."""

    kind: ClassVar = "facts"
    rows: tuple[tuple[str, Cell], ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Tiles:
    """A few large numbers."""

    kind: ClassVar = "tiles"
    rows: tuple[tuple[str, Cell], ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A list of things."""

    kind: ClassVar = "table"
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    empty: Empty
    older: str | None = None
    """The address of the next page."""
    first: str | None = None
    """The address of the first page, if this is another one."""
    is_titled: bool = True
    """False to show the title to screen readers only: the page's own says it."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Numbers over time, drawn by a script, and as a table."""

    kind: ClassVar = "chart"
    title: str
    x: tuple[int, ...]
    """Unix seconds."""
    series: Mapping[str, tuple[float | None, ...]]
    unit: str = ""
    shape: str = "lines"
    """`lines` or `bars`."""

    @property
    def _is_daily(self) -> bool:
        return all(second % _SECONDS_A_DAY == 0 for second in self.x)

    @property
    def data(self) -> dict[str, object]:
        """The values for the script."""
        return {
            "kind": self.shape,
            "label": "Time (UTC)",
            "unit": self.unit,
            "daily": self._is_daily,
            "series": list(self.series),
            "x": self.x,
            "y": list(self.series.values()),
        }

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The values as texts, newest first."""
        form = "%Y-%m-%d" if self._is_daily else "%Y-%m-%d %H:%M"
        return [
            (
                datetime.fromtimestamp(second, UTC).strftime(form),
                *("" if value is None else f"{value:,}" for value in values),
            )
            for second, *values in reversed(list(zip(self.x, *self.series.values(), strict=True)))
        ]


@dataclass(frozen=True, slots=True)
class Tree:
    """A description with its checks."""

    kind: ClassVar = "tree"
    title: str
    description: Description
    is_open: bool = True
    """False to fold it."""


@dataclass(frozen=True, slots=True)
class Node:
    """A thing with those below it."""

    cell: Cell
    meaning: str = ""
    state: Cell | None = None
    children: tuple["Node", ...] = ()


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Things below others, with links."""

    kind: ClassVar = "hierarchy"
    title: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Checks:
    """Checks without a tree."""

    kind: ClassVar = "checks"
    title: str
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """A text to read and to copy."""

    kind: ClassVar = "text"
    title: str
    name: str
    """Its id in the page."""
    text: str
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class Form:
    """A form. By GET it selects, by POST it changes or decodes something."""

    kind: ClassVar = "form"
    fields: tuple[Field, ...]
    button: str
    action: str = ""
    method: str = "get"
    is_danger: bool = False
    cancel: str | None = None
    """The address to go back to."""
    clear: str | None = None
    """The address without filters, if there are any."""

    @property
    def is_filter(self) -> bool:
        """Whether it is one row above a list."""
        return self.method == "get"

    @property
    def has_file(self) -> bool:
        """Whether it sends a file."""
        return any(each.kind == "file" for each in self.fields)


Block = Notice | Facts | Tiles | Table | Chart | Tree | Hierarchy | Checks | Text | Form


@dataclass(frozen=True, slots=True)
class View:
    """A page of the console."""

    title: str
    blocks: tuple[Block, ...]
    lead: str = ""
    acts: tuple[Act, ...] = ()
    up: Act | None = None
    """The list that this page belongs to."""
    is_alone: bool = False
    """True for a page without the menu of the console."""
    live_seconds: int = 0
    """The page loads its content again so often; 0 for never."""
    status: int = 200

    @property
    def filters(self) -> tuple[Form, ...]:
        """The forms that select the content: they stay while it is loaded again."""
        return tuple(each for each in self.blocks if isinstance(each, Form) and each.is_filter)

    @property
    def content(self) -> tuple[Block, ...]:
        """All other blocks."""
        return tuple(each for each in self.blocks if each not in self.filters)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a page: the values in its path and its query or form."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    files: Mapping[str, bytes] = field(default_factory=dict)
    caller: str = ""
    """The name of the operator's token, or `loopback`."""
    client: str = ""
    """The operator's address."""
    may_operate: bool = True
    """Whether the operator may change things and see secrets."""
    request_id: str = ""
    """As in the header X-Request-Id of the answer."""

    def get(self, name: str) -> str:
        """Return a value of the query, without white space around it; empty if it is missing."""
        return self.query.get(name, "").strip()

    def number(self, name: str) -> int | None:
        """Return a whole number of the query, None if it is missing; raises InvalidMessage."""
        text = self.get(name)
        if not text:
            return None
        if not (text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS):
            raise InvalidMessage(f"{name} is {text[:32]!r}, expected a whole number")
        return int(text)

    def choose(self, name: str, choices: Sequence[str]) -> str:
        """Return one of some values, the first one if it is missing; raises InvalidMessage."""
        text = self.get(name) or choices[0]
        if text not in choices:
            known = ", ".join(each or "nothing" for each in choices)
            raise InvalidMessage(f"{name} is {text[:32]!r}, expected one of {known}")
        return text

    def link(self, path: str, **changes: str) -> str:
        """Return the address of the same list with some values changed."""
        return link(path, **{**self.query, **changes})


def filter_form(asked: Asked, path: str, fields: Sequence[Field]) -> Form:
    """Return the form of a list's filters with the values that are in force."""
    names = {each.name for each in fields}
    is_filtered = any(asked.get(name) for name in names)
    return Form(tuple(fields), "Filter", path, clear=path if is_filtered else None)
