"""The journal of a world: the requests that it saw, waits and assertions."""

from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from rightsmanager.testing.control import Control, ControlFailed, given

MAX_SHOWN: Final = 200
"""The most requests in the report of a failed test."""
_PAGE: Final = 1000
_TIMED_OUT: Final = 504
_NOT_SO: Final = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A recorded request and its outcome."""

    id: int
    at: str
    """ISO 8601, in UTC."""
    operation: str
    outcome: str
    """`ok`, or a status code such as `0x8004c604`."""
    reason: str | None
    device: str | None
    account: str | None
    kids: tuple[str, ...]
    """GUIDs."""
    url: str
    """Without its query."""
    query: str
    custom_data: str | None
    http_status: int
    injected: str | None
    """The fault that was injected into it: its kind and id."""

    @property
    def is_ok(self) -> bool:
        """Whether it was not refused."""
        return self.outcome == "ok"

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Return the request of an entry in JSON."""
        return cls(
            id=facts["id"],
            at=facts["at"],
            operation=facts["operation"],
            outcome=facts["outcome"],
            reason=facts["reason"],
            device=facts["device"],
            account=facts["account"],
            kids=tuple(facts["kids"]),
            url=facts["url"],
            query=facts["query"],
            custom_data=facts["custom_data"],
            http_status=facts["http_status"],
            injected=facts.get("injected"),
        )


@dataclass(frozen=True, slots=True)
class Fact:
    """A part of a decoded message, with its checks and its own parts."""

    name: str
    value: object
    meaning: str | None
    checks: Mapping[str, str]
    """The outcome of each check by its name: `ok`, `failed`, `not possible` or `warning`."""
    parts: tuple["Fact", ...]

    def find_all(self, name: str) -> Iterator["Fact"]:
        """Yield each fact of that name, also this one itself."""
        if self.name == name:
            yield self
        for part in self.parts:
            yield from part.find_all(name)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Return the facts of a description in JSON."""
        return cls(
            name=facts["name"],
            value=facts["value"],
            meaning=facts["meaning"],
            checks={each["name"]: each["outcome"] for each in facts["checks"]},
            parts=tuple(map(cls.of, facts["children"])),
        )


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request with both bodies, as they were sent and decoded."""

    request: Request
    sent: bytes = field(repr=False)
    """Empty if it is not stored."""
    answered: bytes = field(repr=False)
    decoded_request: Fact | None = field(repr=False)
    """With the decrypted parts; None if it is not recognised."""
    decoded_reply: Fact | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal of a world.

    Filters are `operation`, `outcome` (`ok`, `fault` or a status code), `device`, `kid`, `account`,
    `text` and `since`.
    """

    control: Control = field(repr=False)
    path: str
    """Of the world in the control API."""
    api: str
    """Of the world's management API."""

    def requests(
        self, *, since: int | Request | str | None = None, **filters: object
    ) -> tuple[Request, ...]:
        """Return the requests that the filters let through, the oldest first.

        since: a request, or its id, for those after it; or a time.
        """
        first = since.id if isinstance(since, Request) else since
        at = first if isinstance(first, str) else None
        after = first if isinstance(first, int) else 0
        return tuple(reversed(list(self._newest_first(after, since=at, **filters))))

    def _newest_first(self, after: int, **filters: object) -> Iterator[Request]:
        cursor = None
        while True:
            query = {"limit": _PAGE, "after": cursor, **filters}
            page = self.control.get(f"{self.path}/journal", **query)
            for each in page["entries"]:
                if each["id"] <= after:
                    return
                if each["kind"] == "request":
                    yield Request.of(each)
            cursor = page["next"]
            if cursor is None:
                return

    def show(self, request: Request | int) -> Exchange:
        """Return a request with its bodies."""
        entry = request.id if isinstance(request, Request) else request
        facts = self.control.get(f"{self.api}/journal/entries/{entry}")
        return Exchange(
            Request.of(facts),
            b64decode(facts["request"] or ""),
            b64decode(facts["reply"] or ""),
            _decoded(facts["decoded_request"]),
            _decoded(facts["decoded_reply"]),
        )

    def wait(
        self, count: int = 1, timeout_seconds: float = 5, **filters: object
    ) -> tuple[Request, ...]:
        """Return the requests that the filters let through, once there are `count`.

        Raises AssertionError, which says what was seen, after `timeout_seconds`.
        """
        body = {**given(filters), "count": count, "timeout_seconds": timeout_seconds}
        answer = self._ask("wait", body, _TIMED_OUT)
        return tuple(Request.of(each) for each in answer["entries"])

    def assert_count(self, count: int, **filters: object) -> None:
        """Raise AssertionError unless the filters let exactly `count` requests through."""
        self._ask("assert", {**given(filters), "count": count}, _NOT_SO)

    def assert_at_least(self, count: int, **filters: object) -> None:
        """Raise AssertionError unless the filters let `count` requests or more through."""
        self._ask("assert", {**given(filters), "at_least": count}, _NOT_SO)

    def assert_at_most(self, count: int, **filters: object) -> None:
        """Raise AssertionError unless the filters let `count` requests or fewer through."""
        self._ask("assert", {**given(filters), "at_most": count}, _NOT_SO)

    def waiting(self) -> int:
        """Return the number of answered requests that are not written yet."""
        return int(self.control.get(f"{self.api}/journal/counts")["waiting"])

    def text(self) -> str:
        """Return the newest requests as lines, the oldest first."""
        requests = self.requests()
        lines = [_line(each) for each in requests[-MAX_SHOWN:]]
        if len(requests) > MAX_SHOWN:
            lines.insert(0, f"… {len(requests) - MAX_SHOWN} earlier requests")
        return "\n".join(lines) or "no requests"

    def clear(self) -> None:
        """Remove all requests."""
        self.control.delete(f"{self.api}/journal/entries")

    def _ask(self, verb: str, body: object, failed: int) -> Any:  # noqa: ANN401 -- JSON
        try:
            return self.control.post(f"{self.path}/journal/{verb}", body)
        except ControlFailed as error:
            if error.http_status != failed:
                raise
            raise AssertionError(error.text) from None


def _decoded(facts: Mapping[str, Any] | None) -> Fact | None:
    return None if facts is None else Fact.of(facts)


def _line(request: Request) -> str:
    parts = [
        f"#{request.id}",
        request.at,
        request.operation or "?",
        request.outcome,
        " ".join(request.kids),
        request.reason or "",
        "" if request.injected is None else f"[injected: {request.injected}]",
    ]
    return "  ".join(part for part in parts if part)
