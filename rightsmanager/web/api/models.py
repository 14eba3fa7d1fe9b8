"""The parts that messages of the API share: bases, types of values, pages and problems.

Dates are ISO 8601 in UTC. Bytes are base64.
"""

import re
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, date, datetime
from enum import Enum
from typing import Annotated, Any, Final, Self, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from rightsmanager.admin.domains import parse_device
from rightsmanager.admin.usage import FIRST_DAY
from rightsmanager.errors import Refusal
from rightsmanager.protocol.wire import AccountId, Guid, Kid, Mid, parse_track
from rightsmanager.store.paging import Cut
from rightsmanager.web.cursors import read_cursor

Parsed = TypeVar("Parsed")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ID: Final = "GUID or base64."

MAX_LIMIT: Final = 1000
DEFAULT_LIMIT: Final = 100
MAX_CURSOR: Final = 4096
MAX_TEXT: Final = 1024
"""The longest text in a query, in characters."""


class Request(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid", strict=True)


class OptionalRequest(Request):
    """The body of a request that may be missing."""

    @model_validator(mode="before")
    @classmethod
    def _read_missing(cls, given: object) -> object:
        return {} if given is None else given


class Query(BaseModel):
    """The query of a request, whose values are texts."""

    model_config = ConfigDict(extra="forbid")


class Path(BaseModel):
    """The variable parts of a path."""


class Reply(BaseModel):
    """A message that reads frozen facts by their fields."""

    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def of(cls, facts: object) -> Self:
        """Return the message of facts with the same fields."""
        return cls.model_validate(facts)


def _text(value: object) -> object:
    """Return a value of the project as JSON has it."""
    if isinstance(value, Guid):
        return value.text
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime | date):
        return value.isoformat()
    return b64encode(value).decode() if isinstance(value, bytes) else value


def time_text(seconds: float) -> str:
    """Return Unix seconds in ISO 8601, to the second, such as `2026-01-31T12:00:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


_DATE_TIME: Final[dict[str, Any]] = {"format": "date-time"}
Id = Annotated[
    str,
    BeforeValidator(_text),
    Field(description="GUID.", examples=["6f651ae1-dbe4-4434-bcb4-690d1564c41c"]),
]
Time = Annotated[str, BeforeValidator(_text), Field(json_schema_extra=_DATE_TIME)]
Moment = Annotated[
    str | int,
    BeforeValidator(_text),
    Field(description="ISO 8601 in UTC, or Unix seconds beyond the year 9999."),
]
Day = Annotated[
    str,
    BeforeValidator(_text),
    Field(json_schema_extra={"format": "date"}, examples=["2026-11-24"]),
]
Base64 = Annotated[str, BeforeValidator(_text), Field(description="Base64.")]
Name = Annotated[str, BeforeValidator(_text)]
"""A text, or the value of an enumeration."""


def _refuse_unprintable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected printable characters")
    return text


Text = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_refuse_unprintable)]
"""A text without control characters, which the database could not hold."""


def _refuse_number(value: object) -> object:
    # pydantic takes a number for seconds since 1970.
    if isinstance(value, str) and not _DATE.match(value):
        raise ValueError("expected a date such as 2026-11-24")
    return value


DayText = Annotated[date, BeforeValidator(_refuse_number), Field(ge=FIRST_DAY)]
"""A day of a query."""
TimeText = Annotated[AwareDatetime, BeforeValidator(_refuse_number)]
"""A time of a query, with its zone."""


def refusing(parse: Callable[[str], Parsed]) -> Callable[[object], Parsed]:
    """Return a validator that parses texts; what `parse` refuses is an invalid value."""

    def validate(value: object) -> Parsed:
        if not isinstance(value, str):
            raise ValueError("Input should be a string")  # noqa: TRY004 -- pydantic's own kind
        try:
            return parse(value)
        except Refusal as refusal:
            raise ValueError(refusal.text) from None

    return validate


_IDENTIFIER: Final[dict[str, Any]] = {"type": "string"}
KidText = Annotated[
    Kid, PlainValidator(refusing(Kid.parse)), WithJsonSchema(_IDENTIFIER), Field(description=_ID)
]
MidText = Annotated[
    Mid, PlainValidator(refusing(Mid.parse)), WithJsonSchema(_IDENTIFIER), Field(description=_ID)
]
AccountText = Annotated[
    AccountId,
    PlainValidator(refusing(AccountId.parse)),
    WithJsonSchema(_IDENTIFIER),
    Field(description=_ID),
]
StreamText = Annotated[
    Guid, PlainValidator(refusing(Guid.parse)), WithJsonSchema(_IDENTIFIER), Field(description=_ID)
]
TrackText = Annotated[
    str,
    PlainValidator(refusing(parse_track)),
    WithJsonSchema(_IDENTIFIER),
    Field(description="The kind of streams that it encrypts, such as `uhd`."),
]
DeviceText = Annotated[
    str,
    PlainValidator(refusing(parse_device)),
    WithJsonSchema(_IDENTIFIER),
    Field(description="Device id: SHA-256 of the signing key, in hexadecimal or base64 for URLs."),
]


class PageQuery(Query):
    """The part of a list."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="The most items.")
    after: str | None = Field(
        None,
        max_length=MAX_CURSOR,
        description="`next` of the answer before; the first page if missing.",
    )

    def cut(self) -> Cut:
        """Return the part; raises InvalidMessage for a cursor that no answer had."""
        return Cut(self.limit, None if self.after is None else read_cursor(self.after))


class PageReply(Reply):
    """A part of a list."""

    next: str | None = Field(
        description="The cursor of the next page, for `after`; null at the end."
    )


class FieldErrorModel(BaseModel):
    """An invalid value of a request."""

    field: str = Field(description="Its path, such as `limit`; empty for the whole body.")
    text: str


class ProblemModel(BaseModel):
    """The reason of a refusal (RFC 9457)."""

    type: str = Field(examples=["urn:rightsmanager:problem:not-found"])
    title: str = Field(description="The kind of problem, the same for each `code`.")
    status: int = Field(description="The HTTP status.")
    code: str = Field(description="Stable; the end of `type`.", examples=["not-found"])
    detail: str = Field(description="The problem of this request.")
    errors: list[FieldErrorModel] = Field(description="The invalid values of a body or query.")
