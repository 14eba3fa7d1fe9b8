"""`/worlds`: servers of their own for tests, with their clocks and seeds."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from flask import request
from flask_openapi3.models.tag import Tag
from pydantic import Field, PlainValidator, StrictBool, StrictFloat, StrictInt, WithJsonSchema

from rightsmanager.admin.refusals import NotFound
from rightsmanager.errors import InvalidMessage, Refusal
from rightsmanager.lab.clock import MAX_DRIFT, ClockChange
from rightsmanager.lab.control import MAX_SEED, NAME
from rightsmanager.lab.worlds import MAX_EXPIRES_SECONDS, WorldFacts, WorldRequest, Worlds
from rightsmanager.protocol.formats.durations import parse_duration
from rightsmanager.store.paging import Key, Page
from rightsmanager.web.api.models import (
    OptionalRequest,
    PageQuery,
    PageReply,
    Path,
    Reply,
    Request,
    Time,
    time_text,
)
from rightsmanager.web.api.routes import Routes
from rightsmanager.web.cursors import cursor_of
from rightsmanager.web.http import Addressing
from rightsmanager.web.router import ASMX_PATH, public_url_of_world
from rightsmanager.world_paths import world_path

WORLDS: Final = Tag(name="worlds", description="Servers of their own for tests (`serve --lab`).")
OFF: Final = (
    "there are no worlds at this path, expected /api/v1/worlds of a server that was started with "
    "--lab"
)

Settings = Annotated[
    dict[str, dict[str, Any]],
    Field(description="Settings by section and name, in place of the server's."),
]
Part = Literal[
    "content_keys",
    "licenses",
    "domains",
    "metering",
    "streams",
    "revocations",
    "journal",
    "clock",
    "faults",
    "settings",
]
Seed = Annotated[
    int,
    Field(ge=0, le=MAX_SEED, description="Makes everything random follow from the requests."),
]
Lifetime = Annotated[
    int,
    Field(
        ge=1,
        le=MAX_EXPIRES_SECONDS,
        description="Seconds after its last use at which the world is removed.",
    ),
]


def _seconds(value: object) -> object:
    """Return the seconds of a number or an ISO 8601 duration."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise ValueError("expected seconds or a duration such as PT1H")  # noqa: TRY004 -- pydantic's
    sign, text = (-1, value[1:]) if value.startswith("-") else (1, value)
    try:
        return sign * float(parse_duration(text, "it").seconds)
    except Refusal as refusal:
        raise ValueError(refusal.text) from None


def _time(value: object) -> object:
    """Return the Unix seconds of an ISO 8601 time."""
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError("expected a time such as 2031-01-01T00:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError("the time has no zone, expected one such as Z at its end")
    return int(moment.timestamp())


Advance = Annotated[
    float,
    PlainValidator(_seconds),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "format": "duration"}]}),
    Field(description="Seconds, or an ISO 8601 duration, to add; they may be negative."),
]
Now = Annotated[
    int,
    PlainValidator(_time),
    WithJsonSchema({"type": "string", "format": "date-time"}),
    Field(description="The time that it reads, from 1970 to 2106."),
]


class ClockRequest(Request):
    """The parts of a clock to change: `offset` first, then `now`, then `advance`."""

    now: Now | None = None
    advance: Advance | None = None
    freeze: StrictBool | None = Field(None, description="Whether it stands still.")
    offset: StrictInt | None = Field(None, description="Seconds that are added to each reading.")
    drift: StrictInt | StrictFloat | None = Field(
        None, gt=0, le=MAX_DRIFT, description="Seconds of the world in a second."
    )

    def change(self) -> ClockChange:
        """Return the change."""
        return ClockChange(self.now, self.advance, self.freeze, self.offset, self.drift)


class NewWorldRequest(OptionalRequest):
    """A world to create."""

    name: str | None = Field(
        None, max_length=1024, description=f"`{NAME.pattern}`; made up if it is missing."
    )
    seed: Seed | None = None
    clock: ClockRequest | None = Field(
        None, description="With a seed it is frozen in 2030 by default, else the system's."
    )
    pki: Literal["shared", "own"] = Field(
        "shared", description="`own`: keys and certificates of its own, at its own `public/`."
    )
    settings: Settings = Field(default_factory=dict)
    expires_after_seconds: Lifetime | None = None

    def wanted(self) -> WorldRequest:
        """Return the options."""
        return WorldRequest(
            name=self.name,
            seed=self.seed,
            clock=None if self.clock is None else self.clock.change(),
            pki=self.pki,
            settings=self.settings,
            expires_after_seconds=self.expires_after_seconds,
        )


class WorldChangeRequest(Request):
    """The parts of a world to change."""

    settings: Settings = Field(default_factory=dict)
    expires_after_seconds: Lifetime | None = None


class ResetRequest(OptionalRequest):
    """The parts of a world to reset."""

    parts: list[Part] | None = Field(None, min_length=1, description="Everything if missing.")


class SeedRequest(Request):
    """The seed of a world."""

    seed: Seed | None = Field(description="null for the system's randomness.")


class WorldPath(Path):
    """The path of a world."""

    name: str


class ClockModel(Reply):
    """The clock of a world."""

    now: Time
    frozen: bool
    offset_seconds: int
    drift: float


class WorldModel(Reply):
    """A world."""

    name: str
    url: str = Field(description="The URL of its service.")
    created_at: Time
    last_used_at: Time = Field(description="Some seconds too early.")
    expires_after_seconds: int
    seed: int | None
    pki: Literal["shared", "own"]
    settings: dict[str, dict[str, Any]]
    clock: ClockModel
    faults: int = Field(description="The number of its faults.")


class WorldPage(PageReply):
    """Worlds by name."""

    worlds: list[WorldModel]


@dataclass(frozen=True, slots=True)
class WorldsParts:
    """Everything that the operations on worlds call."""

    given: Worlds | None
    addressing: Addressing

    @property
    def worlds(self) -> Worlds:
        """The worlds; raises NotFound if the server has none."""
        if self.given is None:
            raise NotFound(OFF)
        return self.given

    def model(self, facts: WorldFacts) -> WorldModel:
        """Return the message of a world."""
        options = facts.control.options
        return WorldModel(
            name=facts.name,
            url=self._url(facts.name),
            created_at=time_text(facts.created_at),
            last_used_at=time_text(facts.last_used_at),
            expires_after_seconds=options.expires_after_seconds,
            seed=options.seed,
            pki=options.pki,
            settings={name: dict(values) for name, values in options.settings.items()},
            clock=clock_model(facts),
            faults=len(facts.control.faults),
        )

    def _url(self, name: str) -> str:
        public_url = public_url_of_world(self.addressing.public_url, name)
        path = world_path(name) + ASMX_PATH
        return replace(self.addressing, public_url=public_url).url(
            {**request.environ, "PATH_INFO": path}
        )


def clock_model(facts: WorldFacts) -> ClockModel:
    """Return the message of a world's clock."""
    clock = facts.control.options.clock
    return ClockModel(
        now=time_text(facts.now),
        frozen=clock.is_frozen,
        offset_seconds=clock.offset,
        drift=clock.drift,
    )


def add_worlds(routes: Routes, parts: WorldsParts) -> None:
    """Add the operations on worlds."""
    _add_life(routes, parts)
    _add_changes(routes, parts)
    _add_clock(routes, parts)


def _add_life(routes: Routes, parts: WorldsParts) -> None:
    world = "/worlds/<name>"

    @routes.post("/worlds", "Create a world", WorldModel, 404, 409, status=201)
    def create_world(body: NewWorldRequest) -> WorldModel:
        return parts.model(parts.worlds.create(body.wanted()))

    @routes.get("/worlds", "List worlds by name", WorldPage, 404)
    def list_worlds(query: PageQuery) -> WorldPage:
        cut = query.cut()
        found, last = parts.worlds.find_page(cut.limit, _read_name(cut.after))
        page: Page[object] = Page((), None if last is None else (last,))
        return WorldPage(worlds=[parts.model(each) for each in found], next=cursor_of(page))

    @routes.get(world, "Show a world", WorldModel, 404)
    def show_world(path: WorldPath) -> WorldModel:
        return parts.model(parts.worlds.find(path.name))

    @routes.remove(world, "Remove a world with everything in it", 404)
    def delete_world(path: WorldPath) -> None:
        parts.worlds.delete(path.name)


def _read_name(key: Key | None) -> str | None:
    """Return the name that a page comes after; raises InvalidMessage for another list's key."""
    if key is None:
        return None
    if len(key) != 1 or not isinstance(key[0], str):
        raise InvalidMessage("the key of a page is not one of this list")
    return key[0]


def _add_changes(routes: Routes, parts: WorldsParts) -> None:
    world = "/worlds/<name>"

    @routes.patch(world, "Change settings of a world", WorldModel, 404)
    def change_world(path: WorldPath, body: WorldChangeRequest) -> WorldModel:
        seconds = body.expires_after_seconds
        return parts.model(parts.worlds.change(path.name, body.settings, seconds))

    @routes.post(f"{world}/reset", "Empty a world, or create it", WorldModel, 404, 409)
    def reset_world(path: WorldPath, body: ResetRequest) -> WorldModel:
        return parts.model(parts.worlds.reset(path.name, body.parts))

    @routes.put(f"{world}/seed", "Set the seed of a world", WorldModel, 400, 404, 413, 415)
    def set_world_seed(path: WorldPath, body: SeedRequest) -> WorldModel:
        return parts.model(parts.worlds.change_seed(path.name, body.seed))


def _add_clock(routes: Routes, parts: WorldsParts) -> None:
    clock = "/worlds/<name>/clock"

    @routes.get(clock, "Show the clock of a world", ClockModel, 404)
    def show_clock(path: WorldPath) -> ClockModel:
        return clock_model(parts.worlds.find(path.name))

    @routes.put(clock, "Change the clock of a world", ClockModel, 400, 404, 413, 415)
    def set_clock(path: WorldPath, body: ClockRequest) -> ClockModel:
        return clock_model(parts.worlds.change_clock(path.name, body.change()))
