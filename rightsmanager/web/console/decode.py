"""The page Decode: anything of PlayReady that is pasted or given as a file is described."""

from collections import Counter

from rightsmanager.errors import InvalidMessage
from rightsmanager.inspection import Description, Outcome
from rightsmanager.web.console.blocks import (
    BAD,
    GOOD,
    OFF,
    Asked,
    Block,
    Field,
    Form,
    Notice,
    Tree,
    View,
)
from rightsmanager.web.console.parts import Parts

_LEAD = (
    "Paste or choose a PSSH box, PlayReady Object, WRMHEADER, challenge, reply, licence, "
    "certificate chain, revocation list, manifest or MP4 file, in binary, base64 or hexadecimal. "
    "Nothing is stored."
)
_SHOWN = 10_000
"""The most characters of a pasted text that the form repeats."""


def show_decode(_parts: Parts, _asked: Asked) -> View:
    """Return the page with an empty form."""
    return View("Decode", (_form(""),), lead=_LEAD)


def decode(parts: Parts, asked: Asked) -> View:
    """Return the page with the description of what was sent."""
    text = asked.get("text")
    data = asked.files.get("file") or text.encode(errors="replace")
    form = _form(text[:_SHOWN])
    if not data:
        return View("Decode", (Notice(OFF, "Paste something, or choose a file."), form), lead=_LEAD)
    try:
        description = parts.describe(data)
    except InvalidMessage as refusal:
        return View("Decode", (Notice(BAD, _sentence(refusal.text)), form), lead=_LEAD, status=422)
    return View("Decode", (*_answer(description), form), lead=_LEAD)


def _form(text: str) -> Form:
    fields = (
        Field("text", "Text", text, "area", "base64, hexadecimal or XML"),
        Field("file", "or a file", "", "file"),
    )
    return Form(fields, "Decode", "decode", "post")


def _answer(description: Description) -> tuple[Block, ...]:
    counts = Counter(check.outcome for check in description.all_checks())
    told = ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in Outcome if counts[outcome])
    tone = BAD if counts[Outcome.FAILED] else OFF if counts[Outcome.WARNING] else GOOD
    return (
        Notice(tone, f"Checks: {told}." if told else "Nothing to check."),
        Tree(description.name, description),
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
