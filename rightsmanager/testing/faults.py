"""The faults of a world."""

from dataclasses import dataclass, field

from rightsmanager.testing.control import Control, Facts, given, segment


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults that a world injects into its replies; docs/faults.md lists the kinds."""

    control: Control = field(repr=False)
    path: str
    """Of the world."""

    def add(self, kind: str, *, operation: str | None = None, **options: object) -> Facts:
        """Add a fault of a kind, such as `status`, and return it with its `id`.

        options: `count`, `device`, `kid`, `nth`, `rate`, `seed`, `seconds`, and the kind's own.
        """
        body = given({"kind": kind, "operation": operation, **options})
        added: Facts = self.control.post(f"{self.path}/faults", body)
        return added

    def answer(self, *answers: Facts) -> None:
        """Answer the next requests by these, one after the other, each once."""
        self.control.post(f"{self.path}/answers", list(answers))

    def list(self) -> tuple[Facts, ...]:
        """Return the faults and how often each was used."""
        return tuple(self.control.get(f"{self.path}/faults")["faults"])

    def remove(self, fault: Facts | str) -> None:
        """Remove a fault, given itself or its id."""
        number = fault if isinstance(fault, str) else fault["id"]
        self.control.delete(f"{self.path}/faults/{segment(str(number))}")

    def clear(self) -> None:
        """Remove all faults."""
        self.control.delete(f"{self.path}/faults")
