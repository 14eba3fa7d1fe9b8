"""`/worlds/NAME/faults`: failures on demand, and scripted answers."""

from typing import Any, Final

from flask import request
from flask_openapi3.models.tag import Tag
from pydantic import ConfigDict, Field, RootModel

from rightsmanager.lab.faults.control import FaultControl, UsedFault
from rightsmanager.lab.faults.listing import find_toxics
from rightsmanager.web.api.models import Reply, Request
from rightsmanager.web.api.routes import Routes
from rightsmanager.web.api.worlds import WorldPath, WorldsParts

FAULTS: Final = Tag(name="faults", description="Failures on demand in a world (`serve --lab`).")


class FaultRequest(Request):
    """A fault: its kind, the requests that it acts on, and the kind's own parameters."""

    # `lab.faults` checks the values: it knows the kinds and their parameters.
    model_config = ConfigDict(extra="allow")

    kind: Any = Field(None, description="One of `/faults/kinds`.", examples=["status"])
    operation: Any = Field(None, description="Requests to this operation alone.")
    device: Any = Field(None, description="Requests of this device id alone.")
    kid: Any = Field(None, description="Requests that name this KID alone.")
    nth: Any = Field(None, description="The nth matching request, or `count` from it on.")
    count: Any = Field(None, description="The most requests that it acts on.")
    rate: Any = Field(None, description="The share of the requests, above 0 to 1.")
    seed: Any = Field(None, description="Repeats everything random in it; 0 by default.")
    seconds: Any = Field(None, description="The time for which it acts, by the world's clock.")


class AnswersRequest(RootModel[list[FaultRequest]]):
    """Answers that are used one after the other; `kind` is `answer` by default."""


class FaultPath(WorldPath):
    """The path of a fault."""

    fault_id: str = Field(description="16 hexadecimal digits.")


class FaultModel(Reply):
    """A fault, with the given fields and parameters."""

    model_config = ConfigDict(extra="allow")

    id: str
    kind: str
    used: int = Field(description="The number of requests that it acted on.")
    created_at: int = Field(description="Unix seconds of the world's clock.")
    script: str | None = Field(None, description="Faults with the same one act after each other.")


class FaultsModel(Reply):
    """The faults of a world, in the order in which they act."""

    faults: list[FaultModel]


class ParameterModel(Reply):
    """A parameter of a kind of fault."""

    name: str
    expected: str
    default: str | int | float | bool | None
    is_required: bool


class KindModel(Reply):
    """A kind of fault."""

    kind: str
    place: str = Field(description="`operation`, `reply` or `delivery`; one fault acts at each.")
    effect: str
    client: str = Field(description="The behaviour of a correct client.")
    source: str
    operations: list[str]
    parameters: list[ParameterModel]


class KindsModel(Reply):
    """The kinds of faults."""

    kinds: list[KindModel]


def add_faults(routes: Routes, parts: WorldsParts) -> None:
    """Add the operations on faults."""
    _add_kinds(routes)
    _add_faults(routes, parts)
    _add_answers(routes, parts)


def _add_kinds(routes: Routes) -> None:
    @routes.get("/faults/kinds", "List the kinds of faults", KindsModel)
    def list_fault_kinds() -> KindsModel:
        return KindsModel(kinds=[KindModel.of(each) for each in find_toxics()])


def _add_faults(routes: Routes, parts: WorldsParts) -> None:
    faults = "/worlds/<name>/faults"

    @routes.post(faults, "Add a fault to a world", FaultModel, 404, 409, status=201)
    def add_fault(path: WorldPath, body: FaultRequest) -> FaultModel:
        del body
        return _model(_control(parts).add(path.name, request.get_json()))

    @routes.get(faults, "List the faults of a world", FaultsModel, 404)
    def list_faults(path: WorldPath) -> FaultsModel:
        return FaultsModel(faults=[_model(each) for each in _control(parts).find(path.name)])

    @routes.remove(f"{faults}/<fault_id>", "Remove a fault of a world", 404)
    def delete_fault(path: FaultPath) -> None:
        _control(parts).remove(path.name, path.fault_id)

    @routes.remove(faults, "Remove all faults of a world", 404)
    def delete_faults(path: WorldPath) -> None:
        _control(parts).clear(path.name)


def _add_answers(routes: Routes, parts: WorldsParts) -> None:
    @routes.post(
        "/worlds/<name>/answers",
        "Script the next answers of a world",
        FaultsModel,
        404,
        409,
        status=201,
    )
    def add_answers(path: WorldPath, body: AnswersRequest) -> FaultsModel:
        del body
        added = _control(parts).add_script(path.name, request.get_json())
        return FaultsModel(faults=[_model(each) for each in added])


def _control(parts: WorldsParts) -> FaultControl:
    """Return the faults of the server's worlds; raises NotFound if it has none."""
    return FaultControl(parts.worlds)


def _model(fault: UsedFault) -> FaultModel:
    return FaultModel.model_validate({**fault.facts, "used": fault.used})
