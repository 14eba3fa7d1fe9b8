"""State machines over a store: rules change store and model alike, invariants compare them."""

from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from sqlalchemy import delete

from rightsmanager.store.database import Store
from rightsmanager.store.tables import METADATA

EXAMPLES = {"sqlite": 25, "postgresql": 6}
"""Runs on each kind of database: what a transaction costs differs by as much."""


class Machine(RuleBasedStateMachine):
    """A machine that starts with an empty store."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.now = 1790000000
        with store.transaction() as transaction:
            for table in reversed(METADATA.sorted_tables):
                transaction.link.connection.execute(delete(table))


def run_machine(machine: Callable[[Store], Machine], store: Store, *, steps: int = 30) -> None:
    """Run a machine on a store by random rules."""
    with store.reading() as found:
        examples = EXAMPLES[found.link.dialect]
    run_state_machine_as_test(
        lambda: machine(store),  # type: ignore[arg-type] # it takes any factory
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
