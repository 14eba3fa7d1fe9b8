"""`/tokens`: the bearer tokens of this API."""

from typing import Annotated, Final, Literal

from flask_openapi3.models.tag import Tag
from pydantic import Field

from rightsmanager.admin.tokens import MAX_LIFETIME_SECONDS, MAX_TOKEN_NAME, Role, TokenKeeper
from rightsmanager.web.api.models import (
    Name,
    PageQuery,
    PageReply,
    Path,
    Reply,
    Request,
    Time,
)
from rightsmanager.web.api.routes import Routes
from rightsmanager.web.cursors import cursor_of

TOKENS: Final = Tag(name="tokens", description="Bearer tokens of this API.")

RoleName = Annotated[Literal["read", "operate"], *Name.__metadata__]


class NewTokenRequest(Request):
    """A token to create."""

    name: str = Field(min_length=1, max_length=MAX_TOKEN_NAME, examples=["monitoring"])
    role: Literal["read", "operate"] = Field("read", description="`read` shows, `operate` changes.")
    lifetime_seconds: int | None = Field(
        None, ge=1, le=MAX_LIFETIME_SECONDS, description="Without an end if it is missing."
    )


class TokenPath(Path):
    """The path of a token."""

    token_id: str = Field(description="16 hexadecimal digits.")


class TokenModel(Reply):
    """A token, without its text."""

    token_id: str
    name: str
    role: RoleName
    state: Annotated[Literal["valid", "expired", "revoked"], *Name.__metadata__]
    created_at: Time
    expires_at: Time | None
    used_at: Time | None = Field(description="The last use, up to an hour too early.")
    revoked_at: Time | None


class CreatedTokenModel(TokenModel):
    """A token that was just created."""

    token: str = Field(description="The token itself, which no other answer has.")


class TokenPage(PageReply):
    """Tokens, oldest first."""

    tokens: list[TokenModel]


def add_tokens(routes: Routes, tokens: TokenKeeper) -> None:
    """Add the operations on tokens."""

    @routes.get("/tokens", "List tokens, oldest first", TokenPage)
    def list_tokens(query: PageQuery) -> TokenPage:
        page = tokens.find_page(query.cut())
        return TokenPage(tokens=[TokenModel.of(each) for each in page.items], next=cursor_of(page))

    @routes.post("/tokens", "Create a token", CreatedTokenModel, status=201)
    def create_token(body: NewTokenRequest) -> CreatedTokenModel:
        made = tokens.create(body.name, Role(body.role), body.lifetime_seconds)
        return CreatedTokenModel.of(made)

    @routes.get("/tokens/<token_id>", "Show a token", TokenModel, 404)
    def show_token(path: TokenPath) -> TokenModel:
        return TokenModel.of(tokens.find(path.token_id))

    @routes.delete("/tokens/<token_id>", "Revoke a token, which stays listed", TokenModel, 404, 409)
    def revoke_token(path: TokenPath) -> TokenModel:
        return TokenModel.of(tokens.revoke(path.token_id))
