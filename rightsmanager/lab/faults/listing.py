"""The table of toxics for readers: as facts, and as a table in Markdown."""

from dataclasses import dataclass

from rightsmanager.lab.faults.toxics import TOXICS, Parameter, Toxic
from rightsmanager.lab.faults.values import Value
from rightsmanager.protocol.messages.operations import OPERATIONS


@dataclass(frozen=True, slots=True)
class ParameterFacts:
    """A parameter of a kind of fault."""

    name: str
    expected: str
    default: Value | None
    is_required: bool


@dataclass(frozen=True, slots=True)
class ToxicFacts:
    """A kind of fault."""

    kind: str
    place: str
    effect: str
    client: str
    """The behaviour of a correct client."""
    source: str
    operations: tuple[str, ...]
    parameters: tuple[ParameterFacts, ...]


def find_toxics() -> tuple[ToxicFacts, ...]:
    """Return all kinds of faults."""
    return tuple(map(_facts, TOXICS.values()))


def toxics_markdown() -> str:
    """Return the table of kinds in Markdown."""
    rows = ["| kind | parameters | effect | a correct client | source |", "| --- " * 5 + "|"]
    for toxic in TOXICS.values():
        parameters = ", ".join(_spelled(each) for each in toxic.parameters)
        cells = (f"`{toxic.name}`", parameters, toxic.effect, toxic.client, toxic.source)
        rows.append(f"| {' | '.join(cells)} |".replace("|  |", "| |"))
    return "\n".join(rows)


def _spelled(parameter: Parameter) -> str:
    if parameter.is_required:
        return f"**`{parameter.name}`**"
    default = parameter.default
    if default is None or default == "":
        return f"`{parameter.name}`"
    text = str(default).lower() if isinstance(default, bool) else f"{default}"
    return f"`{parameter.name}` ({text.removesuffix('.0')})"


def _facts(toxic: Toxic) -> ToxicFacts:
    return ToxicFacts(
        kind=toxic.name,
        place=toxic.place.value,
        effect=toxic.effect,
        client=toxic.client,
        source=toxic.source,
        operations=tuple(name for name in OPERATIONS if name in toxic.operations),
        parameters=tuple(
            ParameterFacts(each.name, each.expected, each.default, each.is_required)
            for each in toxic.parameters
        ),
    )
