"""A fault: the requests that it acts on and what it does to them, read from JSON and written.

    id          16 hexadecimal digits
    kind        the name of a toxic
    operation   the requests to it alone; device, kid likewise
    nth         the first matching request that it acts on, counted from 1; alone, the only one
    count       the most requests that it acts on
    rate        the share of the matching requests that it acts on, chosen by `seed`
    seconds     the time for which it acts after it was added, by the world's clock

The toxic's own parameters are next to these. Whatever `parse_fault` accepts, `fault_facts` returns
in canonical spelling.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from rightsmanager.errors import InvalidMessage
from rightsmanager.lab.faults import values
from rightsmanager.lab.faults.toxics import TOXICS, Toxic
from rightsmanager.lab.faults.values import Value
from rightsmanager.protocol.messages.operations import OPERATIONS

MAX_FAULTS: Final = 1000
"""The most faults of a world."""
MAX_COUNT: Final = 1_000_000_000
MAX_SECONDS: Final = 366 * 86400
_ID: Final = re.compile(r"[0-9a-f]{16}")

MATCHERS: Final[Mapping[str, values.Read]] = {
    "operation": values.one_of(*OPERATIONS),
    "device": values.device,
    "kid": values.kid,
    "nth": values.whole(1, MAX_COUNT),
    "count": values.whole(1, MAX_COUNT),
    "rate": values.number(0, 1),
    "seed": values.whole(0, 2**53 - 1),
    "seconds": values.number(0, MAX_SECONDS),
}
"""The fields that choose requests."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of a world."""

    id: str
    kind: str
    created_at: int
    """Unix seconds of the world's clock."""
    matchers: Mapping[str, Value] = field(default_factory=dict)
    """The given fields that choose requests."""
    parameters: Mapping[str, Value] = field(default_factory=dict)
    """The given parameters of the toxic."""
    script: str = ""
    """Faults of one script act one after the other, each on a request of its own."""

    @property
    def toxic(self) -> Toxic:
        """The row of its kind."""
        return TOXICS[self.kind]

    @property
    def operation(self) -> str | None:
        """The only operation that it acts on."""
        return self._text("operation")

    @property
    def device(self) -> str | None:
        """The only device that it acts on: its id, as in the journal."""
        return self._text("device")

    @property
    def kid(self) -> str | None:
        """The KID that requests have to name, as a GUID in text."""
        return self._text("kid")

    @property
    def nth(self) -> int:
        """The first matching request that it acts on."""
        return int(self.matchers.get("nth", 1))

    @property
    def count(self) -> int | None:
        """The most requests that it acts on, None for no limit."""
        if "count" in self.matchers:
            return int(self.matchers["count"])
        return 1 if "nth" in self.matchers else None

    @property
    def rate(self) -> float:
        """The share of the matching requests that it acts on."""
        return float(self.matchers.get("rate", 1))

    @property
    def seed(self) -> int:
        """The seed of everything random in it."""
        return int(self.matchers.get("seed", 0))

    @property
    def until(self) -> float | None:
        """The time at which it ends, in Unix seconds of the world's clock; None for never."""
        if "seconds" not in self.matchers:
            return None
        return self.created_at + float(self.matchers["seconds"])

    def number(self, name: str) -> float:
        """Return the value of a parameter that is a number."""
        return float(self._value(name))

    def whole(self, name: str) -> int:
        """Return the value of a parameter that is an integer."""
        return int(self._value(name))

    def text(self, name: str) -> str:
        """Return the value of a parameter that is a text and that has a default or is required."""
        return str(self._value(name))

    def optional(self, name: str) -> str | None:
        """Return the value of a parameter that is a text, None if it was not given."""
        value = self.parameters.get(name)
        return None if value is None else str(value)

    def _text(self, name: str) -> str | None:
        value = self.matchers.get(name)
        return None if value is None else str(value)

    def _value(self, name: str) -> Value:
        if name in self.parameters:
            return self.parameters[name]
        default = self.toxic.parameter(name).default
        assert default is not None  # noqa: S101 -- as the table says
        return default


# --- JSON -----------------------------------------------------------------------------------------


def parse_fault(given: object, fault_id: str, now: int, script: str = "") -> Fault:
    """Return the fault that a JSON object describes; `now` in Unix seconds of the world's clock.

    Raises InvalidMessage for an unknown kind or field, an invalid value, and a contradiction.
    """
    if not isinstance(given, Mapping):
        raise InvalidMessage(f"a fault is {values.quoted(given)}, expected a JSON object")
    fields = {str(name): value for name, value in given.items() if value is not None}
    toxic = _find_toxic(fields.pop("kind", None))
    _refuse_unknown(toxic, fields)
    fault = Fault(
        id=fault_id,
        kind=toxic.name,
        created_at=now,
        matchers=_read(MATCHERS, fields),
        parameters=_read({each.name: each.read for each in toxic.parameters}, fields),
        script=script,
    )
    _refuse_contradictions(fault)
    return fault


def fault_facts(fault: Fault) -> dict[str, Value]:
    """Return a fault as JSON has it, from which `fault_from` makes it again."""
    facts: dict[str, Value] = {"id": fault.id, "kind": fault.kind}
    facts |= fault.matchers
    facts |= fault.parameters
    facts["created_at"] = fault.created_at
    if fault.script:
        facts["script"] = fault.script
    return facts


def fault_from(facts: Mapping[str, object]) -> Fault:
    """Return the fault of `fault_facts`; raises InvalidMessage."""
    given = dict(facts)
    fault_id, script = str(given.pop("id", "")), str(given.pop("script", ""))
    if not _ID.fullmatch(fault_id):
        raise values.refusal("id", fault_id, "16 hexadecimal digits")
    now = values.whole(0, 2**53)("created_at", given.pop("created_at", None))
    return parse_fault(given, fault_id, int(now), script)


def _read(readers: Mapping[str, values.Read], fields: Mapping[str, object]) -> dict[str, Value]:
    return {name: read(name, fields[name]) for name, read in readers.items() if name in fields}


def _find_toxic(kind: object) -> Toxic:
    if not isinstance(kind, str):
        raise InvalidMessage(
            "a fault has no kind, expected one such as status; rightsmanager fault list has all"
        )
    if kind in TOXICS:
        return TOXICS[kind]
    raise InvalidMessage(
        f"kind is {values.quoted(kind)}, expected {_nearest(kind, TOXICS)}; "
        "rightsmanager fault list has all"
    )


def _refuse_unknown(toxic: Toxic, fields: Iterable[str]) -> None:
    own = [each.name for each in toxic.parameters]
    for name in fields:
        if name not in MATCHERS and name not in own:
            raise InvalidMessage(
                f"{toxic.name} has no field {values.quoted(name)}, "
                f"expected {_nearest(name, [*MATCHERS, *own])}"
            )


def _nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most like another one, else all."""
    names = list(known)
    close = get_close_matches(name, names, n=1)
    return close[0] if close else f"one of {', '.join(names)}"


def _refuse_contradictions(fault: Fault) -> None:
    toxic, given = fault.toxic, fault.matchers
    for parameter in toxic.parameters:
        if parameter.is_required and parameter.name not in fault.parameters:
            raise InvalidMessage(
                f"{toxic.name} has no {parameter.name}, expected {parameter.expected}"
            )
    if fault.operation is not None and fault.operation not in toxic.operations:
        raise InvalidMessage(
            f"operation is {fault.operation}, expected one that {toxic.name} can act on: "
            f"{', '.join(toxic.operations)}"
        )
    if fault.operation in WITHOUT_KIDS and fault.kid is not None:
        raise InvalidMessage(
            f"kid is given for {fault.operation}, expected no kid: its requests name none"
        )
    if fault.operation == PACKAGING and fault.device is not None:
        raise InvalidMessage(
            f"device is given for {PACKAGING}, expected no device: packagers have none"
        )
    if "nth" in given and "rate" in given:
        raise InvalidMessage("nth and rate are given, expected one of them")
    if given.get("rate") == 0 or given.get("seconds") == 0:
        raise InvalidMessage("rate or seconds is 0, expected more: the fault would never act")
    if (reason := toxic.contradiction(fault.parameters)) is not None:
        raise InvalidMessage(f"{toxic.name}: {reason}")


PACKAGING: Final = "AcquirePackagingData"
WITHOUT_KIDS: Final = frozenset({"JoinDomain", "LeaveDomain", "GetMeteringCertificate", PACKAGING})
"""Operations whose requests name no KID before they are answered."""
