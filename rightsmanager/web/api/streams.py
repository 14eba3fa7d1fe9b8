"""`/streams`: licences with secure stop that are in use."""

from typing import Final

from flask_openapi3.models.tag import Tag
from pydantic import Field

from rightsmanager.admin.streams import StreamControl
from rightsmanager.errors import ServiceSpecific
from rightsmanager.hooks.facts import StreamHolder
from rightsmanager.protocol.wire import AccountId
from rightsmanager.store.streams import StreamFilter
from rightsmanager.web.api.models import (
    AccountText,
    DeviceText,
    Id,
    KidText,
    PageQuery,
    PageReply,
    Path,
    Reply,
    Request,
    StreamText,
    Text,
    Time,
)
from rightsmanager.web.api.routes import Routes
from rightsmanager.web.cursors import cursor_of

STREAMS: Final = Tag(name="streams", description="Licences with secure stop that are in use.")

MAX_STREAMS: Final = 1000


class StreamQuery(PageQuery):
    """The streams to list; an account and a user are holders."""

    account: AccountText | None = None
    user: Text | None = None
    device: DeviceText | None = None
    kid: KidText | None = None
    ended: bool = Field(default=False, description="Whether to list ended streams too.")


class StreamPath(Path):
    """The path of a stream."""

    stream_id: StreamText


class StreamsToEnd(Request):
    """Streams by id, or all of one holder."""

    stream_ids: list[StreamText] = Field(default=[], max_length=MAX_STREAMS)
    account: AccountText | None = None
    user: Text | None = None
    device: DeviceText | None = Field(None, description="Its streams without an account.")


class StreamModel(Reply):
    """A stream."""

    stream_id: Id
    state: str = Field(description="`open`, or the reason of its end.")
    account: str | None
    user: str | None
    device: str
    kid: Id
    opened_at: Time
    expires_at: Time = Field(description="The end of its licence.")
    ended_at: Time | None


class StreamPage(PageReply):
    """Streams, oldest first."""

    streams: list[StreamModel]


class EndedModel(Reply):
    """The number of streams that were ended."""

    ended: int


def add_streams(routes: Routes, streams: StreamControl) -> None:
    """Add the operations on streams."""

    @routes.get("/streams", "List streams, oldest first", StreamPage)
    def list_streams(query: StreamQuery) -> StreamPage:
        holder = _holder(query.account, None, query.user)
        chosen = StreamFilter(
            holder=None if holder is None else holder.name,
            device=query.device,
            kid=query.kid,
            open_at=None if query.ended else streams.clock(),
        )
        page = streams.find_page(chosen, query.cut())
        shown = [StreamModel.of(each) for each in page.items]
        return StreamPage(streams=shown, next=cursor_of(page))

    @routes.get("/streams/<stream_id>", "Show a stream", StreamModel, 404)
    def show_stream(path: StreamPath) -> StreamModel:
        return StreamModel.of(streams.find_one(path.stream_id))

    @routes.delete("/streams/<stream_id>", "End a stream", StreamModel, 404, 409)
    def end_stream(path: StreamPath) -> StreamModel:
        streams.find_one(path.stream_id)
        streams.end([path.stream_id])
        return StreamModel.of(streams.find_one(path.stream_id))

    @routes.post("/streams/end", "End streams by id, or all of a holder", EndedModel, 409)
    def end_streams(body: StreamsToEnd) -> EndedModel:
        holder = _holder(body.account, body.device, body.user)
        if (holder is None) == (not body.stream_ids):
            raise ServiceSpecific("expected either stream_ids or one of account, device and user")
        if holder is not None:
            return EndedModel(ended=streams.end_all(holder))
        return EndedModel(ended=streams.end(dict.fromkeys(body.stream_ids)))


def _holder(account: AccountId | None, device: str | None, user: str | None) -> StreamHolder | None:
    named = [each for each in (account, device, user) if each is not None]
    if len(named) > 1:
        raise ServiceSpecific("expected one of account, device and user, not several")
    return StreamHolder(account, device or "", user) if named else None
