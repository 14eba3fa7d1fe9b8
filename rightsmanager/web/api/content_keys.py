"""`/content-keys`: stored content keys; values are shown by `reveal` and `export` only."""

from typing import Annotated, Final, Literal

from flask_openapi3.models.tag import Tag
from pydantic import Field

from rightsmanager.admin.key_registry import KeyListForm, KeyRegistry
from rightsmanager.protocol.formats.keylists import KeyEntry, parse_content_key
from rightsmanager.store.content_keys import KeyFilter
from rightsmanager.web.api.models import (
    Base64,
    Id,
    KidText,
    PageQuery,
    PageReply,
    Path,
    Reply,
    Request,
    Text,
    Time,
    TrackText,
)
from rightsmanager.web.api.routes import Routes
from rightsmanager.web.cursors import cursor_of

CONTENT_KEYS: Final = Tag(name="content keys", description="Stored content keys by KID.")

KeyType = Literal["aesctr", "aescbc"]
Period = Annotated[int, Field(ge=0, le=2**62)]
MAX_KEY_TEXT: Final = 64
MAX_KIDS: Final = 1000


class ContentKeyQuery(PageQuery):
    """The content keys to list."""

    program: Text | None = None
    origin: Literal["operator", "packager", "import"] | None = None
    type: KeyType | None = None
    track: TrackText | None = None


class KidPath(Path):
    """The path of a content key."""

    kid: KidText


class NewContentKey(Request):
    """A content key to store."""

    kid: KidText
    key: str = Field(max_length=MAX_KEY_TEXT, description="32 hexadecimal digits or base64.")
    type: KeyType = "aesctr"
    program: Text | None = Field(None, description="The program, for packagers.")
    period: Period | None = Field(None, description="Its key period; 0 if it is missing.")
    track: TrackText | None = None


class TrackChange(Request):
    """The track of a content key."""

    track: TrackText | None = Field(description="Null for none.")


class KeyList(Request):
    """A list of keys."""

    document: str = Field(min_length=1, description="CPIX or CSV.")


class ExportRequest(Request):
    """The keys to export; all if neither KIDs nor a program are given."""

    form: Literal["cpix", "csv"] = "cpix"
    kids: list[KidText] = Field(default=[], max_length=MAX_KIDS)
    program: Text | None = None


class ContentKeyModel(Reply):
    """A stored content key without its value."""

    kid: Id
    kid_base64: str
    type: KeyType
    added_at: Time
    origin: str = Field(description="`operator`, `packager` or `import`.")
    program: str | None
    period: int | None
    track: str | None = Field(description="The kind of streams that it encrypts.")


class ContentKeyPage(PageReply):
    """Content keys, oldest first."""

    content_keys: list[ContentKeyModel]


class AddedKeyModel(ContentKeyModel):
    """A content key that was added, or that was stored already."""

    is_new: bool


class RevealedKeyModel(Reply):
    """A content key in the clear."""

    kid: Id
    key: Base64
    type: KeyType


class ImportedModel(Reply):
    """The result of an import."""

    added: int
    stored_already: int
    notes: list[str] = Field(description="Remarks on entries.")


class ExportedModel(Reply):
    """A document with content keys in the clear."""

    form: Literal["cpix", "csv"]
    document: str


def add_content_keys(routes: Routes, keys: KeyRegistry) -> None:
    """Add the operations on content keys."""
    _add_lists(routes, keys)
    _add_key(routes, keys)
    _add_documents(routes, keys)


def _add_lists(routes: Routes, keys: KeyRegistry) -> None:
    @routes.get("/content-keys", "List content keys, oldest first", ContentKeyPage)
    def list_content_keys(query: ContentKeyQuery) -> ContentKeyPage:
        chosen = KeyFilter(query.program, query.origin, query.type, query.track)
        page = keys.find_page(chosen, query.cut())
        shown = [ContentKeyModel.of(each) for each in page.items]
        return ContentKeyPage(content_keys=shown, next=cursor_of(page))

    @routes.post(
        "/content-keys", "Store a content key; a stored one stays", AddedKeyModel, 409, status=201
    )
    def add_content_key(body: NewContentKey) -> AddedKeyModel:
        period = 0 if body.program is not None and body.period is None else body.period
        clear = parse_content_key(body.key, "the content key")
        entry = KeyEntry(body.kid, clear, body.type, body.program, period, track=body.track)
        is_new = keys.add(entry)
        facts = ContentKeyModel.of(keys.find(body.kid))
        return AddedKeyModel(**facts.model_dump(), is_new=is_new)


def _add_key(routes: Routes, keys: KeyRegistry) -> None:
    path = "/content-keys/<kid>"

    @routes.get(path, "Show a content key without its value", ContentKeyModel, 404)
    def show_content_key(path: KidPath) -> ContentKeyModel:
        return ContentKeyModel.of(keys.find(path.kid))

    @routes.post(f"{path}/reveal", "Show a content key in the clear", RevealedKeyModel, 404)
    def reveal_content_key(path: KidPath) -> RevealedKeyModel:
        return RevealedKeyModel.of(keys.reveal(path.kid))

    @routes.patch(path, "Set the track of a content key", ContentKeyModel, 404)
    def change_content_key(path: KidPath, body: TrackChange) -> ContentKeyModel:
        keys.set_track(path.kid, body.track)
        return ContentKeyModel.of(keys.find(path.kid))

    @routes.delete(path, "Remove a content key", ContentKeyModel, 404)
    def remove_content_key(path: KidPath) -> ContentKeyModel:
        facts = ContentKeyModel.of(keys.find(path.kid))
        keys.remove(path.kid)
        return facts


def _add_documents(routes: Routes, keys: KeyRegistry) -> None:
    @routes.post(
        "/content-keys/import", "Store all keys of a document, or none", ImportedModel, 409
    )
    def import_content_keys(body: KeyList) -> ImportedModel:
        return ImportedModel.of(keys.import_list(body.document.encode(errors="replace")))

    @routes.post("/content-keys/export", "Export content keys in the clear", ExportedModel, 404)
    def export_content_keys(body: ExportRequest) -> ExportedModel:
        document = keys.export(KeyListForm(body.form), body.kids, body.program)
        return ExportedModel(form=body.form, document=document)
