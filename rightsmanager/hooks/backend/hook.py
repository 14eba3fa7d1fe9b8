"""The hooks that ask the back end.

    POST URL/decide     facts and licences → a choice or a refusal
    POST URL/event      the outcome of a request; the answer is not read

Each decision takes one call, however many licences the request is for.
"""

from collections.abc import Collection

from rightsmanager.errors import Refusal
from rightsmanager.hooks.backend.answers import read_answer
from rightsmanager.hooks.backend.client import BackEnd
from rightsmanager.hooks.backend.documents import build_decision_request, build_event
from rightsmanager.hooks.choice import Choice
from rightsmanager.hooks.facts import Event, Facts
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.policy.grants import Grant


def make_backend_hooks(
    back_end: BackEnd, operations: Collection[str] = (), *, sends_events: bool = False
) -> HookSet:
    """Return the hooks that ask a back end about operations, about all if there are none."""

    def choose(facts: Facts, grants: tuple[Grant, ...]) -> Choice | None:
        if operations and facts.operation not in operations:
            return None
        document = build_decision_request(facts, grants)
        answer = back_end.ask("decide", document, lambda found: read_answer(found, grants))
        if isinstance(answer, Refusal):
            raise answer
        return answer

    def on_event(event: Event) -> None:
        back_end.tell("event", build_event(event))

    return HookSet(choose=choose, on_event=on_event if sends_events else None)
