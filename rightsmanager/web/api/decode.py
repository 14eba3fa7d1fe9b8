"""`/decode` and `/explain`: what PlayReady data are, and which licences a request would get."""

from base64 import b64decode
from typing import Annotated, Final, Literal

from flask import request
from flask_openapi3.models.tag import Tag
from pydantic import Field

from rightsmanager.admin.tokens import Role
from rightsmanager.errors import InvalidMessage, ServiceSpecific
from rightsmanager.web.access import CALLER, Caller, RoleTooLow
from rightsmanager.web.api.models import KidText, Name, Reply, Request
from rightsmanager.web.api.parts import Describe, Explain
from rightsmanager.web.api.routes import Routes

DECODE: Final = Tag(name="decode", description="Decoding, and explanations of requests.")

MAX_KIDS: Final = 1000
MAX_REQUEST: Final = 32 * 1024


class DecodeRequest(Request):
    """Data to decode, as text or as base64 of bytes."""

    text: str | None = Field(None, description="XML, hexadecimal digits, base64 or a manifest.")
    base64: str | None = Field(None, description="Base64 of bytes.")
    show_keys: bool = Field(
        default=False, description="Whether to show content keys; needs the role `operate`."
    )


class CheckModel(Reply):
    """A check and its outcome."""

    name: str
    outcome: Annotated[Literal["ok", "failed", "not possible", "warning"], *Name.__metadata__]
    text: str


class DescriptionModel(Reply):
    """A fact, with its checks and its parts."""

    name: str
    value: bool | int | str | list[int] | None = Field(description="As the format has it.")
    meaning: str | None = Field(description="The value in another spelling or in words.")
    checks: list[CheckModel]
    children: list["DescriptionModel"]


class DecodedModel(Reply):
    """Decoded data."""

    failed: bool = Field(description="Whether a check failed.")
    description: DescriptionModel


class ExplainRequest(Request):
    """A request for licences, without a challenge."""

    request: str = Field(
        max_length=MAX_REQUEST, description="A URL, a query, CustomData, a header or a challenge."
    )
    custom_data: str | None = Field(
        None, max_length=MAX_REQUEST, description="In place of the request's own."
    )
    kids: list[KidText] = Field(default=[], max_length=MAX_KIDS, description="KIDs of the content.")
    security_level: int | None = Field(None, ge=0, le=0xFFFF)


class SpellingModel(Reply):
    """A request in one of the spellings of its parameters."""

    spelling: Name
    text: str | None = Field(description="With masked keys. Null where it is not possible.")


class ExplanationModel(Reply):
    """The licences that a request would get, or the reasons for its refusal."""

    refused: list[str]
    fault: str | None = Field(description="The fault that the request asks for.")
    warnings: list[str]
    licenses: list[DescriptionModel]
    parameters: list[DescriptionModel] = Field(
        description="For each requested licence, the field that each parameter sets."
    )
    spellings: list[SpellingModel]


def add_decode(routes: Routes, describe: Describe, explain: Explain) -> None:
    """Add the operations that change nothing and show what something is."""

    @routes.post("/decode", "Decode and check PlayReady data", DecodedModel, role=Role.READ)
    def decode(body: DecodeRequest) -> DecodedModel:
        caller: Caller = request.environ[CALLER]
        if body.show_keys and not caller.may_operate:
            raise RoleTooLow("show_keys needs the role operate")
        description = describe(_data(body), show_keys=body.show_keys)
        shown = DescriptionModel.of(description)
        return DecodedModel(failed=description.failed, description=shown)

    @routes.post("/explain", "Explain a request for licences", ExplanationModel, role=Role.READ)
    def explain_request(body: ExplainRequest) -> ExplanationModel:
        found = explain(
            asked=body.request,
            custom_data=body.custom_data or "",
            kids=" ".join(kid.text for kid in body.kids),
            level="" if body.security_level is None else str(body.security_level),
        )
        return ExplanationModel(
            refused=list(found.problems),
            fault=found.fault,
            warnings=list(found.warnings),
            licenses=[DescriptionModel.of(each) for each in found.licenses],
            parameters=[DescriptionModel.of(each) for each in found.parameters],
            spellings=[
                SpellingModel(
                    spelling=each.spelling.value, text=each.masked if each.is_possible else None
                )
                for each in found.translations
            ],
        )


def _data(body: DecodeRequest) -> bytes:
    if (body.text is None) == (body.base64 is None):
        raise ServiceSpecific("expected either text or base64")
    if body.text is not None:
        return body.text.encode(errors="replace")
    try:
        return b64decode(body.base64 or "", validate=True)
    except ValueError:
        raise InvalidMessage("base64 is not base64") from None
