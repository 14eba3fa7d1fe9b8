"""Acts: everything in the console that changes something or shows a secret.

Each act has a page that asks first. It is performed by POST with a CSRF token, by what the command
of the same name calls, and is recorded in the journal with its outcome.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from rightsmanager.admin.refusals import NotFound
from rightsmanager.errors import Refusal
from rightsmanager.journal.building import Act
from rightsmanager.store.database import StoreFailed
from rightsmanager.web.console.blocks import BAD, Asked, Field, Form, Notice, View
from rightsmanager.web.console.parts import Parts

Perform = Callable[[Parts, Asked], "str | View"]
"""Performs an act; returns the address to go to, or a page to show once."""


@dataclass(frozen=True, slots=True)
class OperatorAct:
    """One act."""

    title: str
    question: str
    """Its consequence, in a sentence or two."""
    button: str
    done: str
    """The sentence on the page that follows."""
    fields: tuple[Field, ...]
    """The fields of its form; those of kind `fixed` name its subject."""
    perform: Perform
    back: Callable[[Asked], str]
    """Returns the address of the page that it belongs to."""
    is_danger: bool = False
    """Whether something is lost or refused by it."""
    secrets: frozenset[str] = frozenset()
    """Fields that are neither recorded nor repeated."""


def find_act(acts: Mapping[str, OperatorAct], name: str) -> OperatorAct:
    """Return an act; raises NotFound."""
    if name not in acts:
        raise NotFound(f"there is no act {name[:32]!r}")
    return acts[name]


def ask(name: str, act: OperatorAct, asked: Asked, problem: str = "") -> View:
    """Return the page that asks before an act is performed."""
    fields = tuple(
        replace(
            each,
            value=each.value if each.name in act.secrets else asked.get(each.name) or each.value,
        )
        for each in act.fields
    )
    form = Form(
        fields,
        act.button,
        f"acts/{name}",
        "post",
        is_danger=act.is_danger,
        cancel=act.back(asked),
    )
    problems = (Notice(BAD, problem),) if problem else ()
    return View(act.title, (*problems, form), lead=act.question, status=422 if problem else 200)


def perform(parts: Parts, name: str, act: OperatorAct, asked: Asked) -> str | View:
    """Perform an act and record it; return the address to go to, or a page to show once.

    A refusal is recorded too, and shown above the form.
    """
    subject = _subject(act, asked)
    act_of = partial(Act, name, subject, asked.caller, asked.client, request_id=asked.request_id)
    try:
        done = act.perform(parts, asked)
    except StoreFailed:
        raise
    except Refusal as refusal:
        parts.record_act(act_of(refusal=refusal))
        return ask(name, act, asked, refusal.text)
    parts.record_act(act_of())
    return done


def _subject(act: OperatorAct, asked: Asked) -> str:
    """Return the thing that an act is about, without secrets."""
    told = (each for each in act.fields if each.name not in act.secrets and asked.get(each.name))
    return ", ".join(f"{each.label} {asked.get(each.name)}" for each in told)
