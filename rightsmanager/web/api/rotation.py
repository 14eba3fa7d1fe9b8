"""`/content-keys/rotate`: the keys of a program's next key periods."""

from typing import Annotated, Literal

from pydantic import Field

from rightsmanager.admin.management import Management
from rightsmanager.operations.program_keys import MAX_KEYS
from rightsmanager.protocol.formats.keylists.entry import LAST_PERIOD
from rightsmanager.web.api.models import Base64, Id, Reply, Request, Text
from rightsmanager.web.api.routes import Routes

PeriodNumber = Annotated[int, Field(ge=0, le=LAST_PERIOD)]


class RotationRequest(Request):
    """The key periods of a program."""

    program: Text
    count: int = Field(1, ge=1, lt=MAX_KEYS, description="The number of next periods.")
    periods: list[PeriodNumber] = Field(
        default=[], max_length=MAX_KEYS - 1, description="These in place of the next ones."
    )
    root: bool = Field(default=False, description="Whether the PSSH boxes bring leaf licences.")
    scheme: Literal["cenc", "cens", "cbc1", "cbcs"] | None = Field(
        None, description="The scheme of new keys."
    )
    url: Text | None = Field(
        None, description="The service's URL in headers; `server.public_url` if it is missing."
    )


class RotatedKeyModel(Reply):
    """A key without its value, and the PSSH box that signals it."""

    program: str
    period: int
    kid: Id
    is_new: bool
    pssh: Base64


class RotatedModel(Reply):
    """The keys of the periods, in the order of the request."""

    periods: list[RotatedKeyModel]
    root: RotatedKeyModel | None = Field(description="The root of the leaf licences.")


def add_rotation(routes: Routes, management: Management) -> None:
    """Add the operation on key periods."""

    @routes.post(
        "/content-keys/rotate", "Create the keys of a program's next periods", RotatedModel, 409
    )
    def rotate_content_keys(body: RotationRequest) -> RotatedModel:
        rotation, public_url = management.rotation, management.options.public_url
        periods = tuple(dict.fromkeys(body.periods)) or rotation.find_next(body.program, body.count)
        rotated = rotation.rotate(
            body.program,
            periods,
            url=public_url if body.url is None else body.url,
            scheme=body.scheme,
            has_root=body.root,
        )
        return RotatedModel.of(rotated)
