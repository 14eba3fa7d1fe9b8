"""A request to explain, given as the texts of a form."""

from dataclasses import replace
from typing import Final

from rightsmanager.errors import Refusal, ServiceSpecific
from rightsmanager.inspection.explain.explanation import Defaults, Explanation, explain
from rightsmanager.inspection.explain.questions import Question, find_question
from rightsmanager.policy.parsed_values import MAX_TEXT, quote
from rightsmanager.policy.value_types import U16, InvalidValue, read_number
from rightsmanager.protocol.formats.wrmheader import Header, HeaderKid, Version
from rightsmanager.protocol.wire import Kid

MAX_KIDS: Final = 100


def explain_form(  # noqa: PLR0913 -- the form's four fields and the server's two
    *, asked: str, custom_data: str, kids: str, level: str, defaults: Defaults, now: int
) -> Explanation:
    """Explain a request.

    An invalid field is one of the problems. asked: any input of `find_question`. custom_data:
    replaces the one found there. kids: separated by white space or commas. level: the device's
    security level, or empty.
    """
    try:
        question = _question(asked, custom_data, kids, level)
    except Refusal as refusal:
        return Explanation((refusal.text,))
    return explain(question, defaults, now)


def _question(asked: str, custom_data: str, kids: str, level: str) -> Question:
    if len(asked) + len(custom_data) > MAX_TEXT:
        raise ServiceSpecific(f"the form has more than {MAX_TEXT} characters")
    found = find_question(asked.encode(errors="replace"))
    named = kids.replace(",", " ").split()
    if len(named) > MAX_KIDS:
        raise ServiceSpecific(f"{len(named)} KIDs are named, expected at most {MAX_KIDS}")
    return replace(
        found,
        custom_data=custom_data or found.custom_data,
        header=header_of(tuple(map(Kid.parse, named))) if named else found.header,
        device_level=_level(level),
    )


def header_of(kids: tuple[Kid, ...]) -> Header:
    """Return a header with these KIDs, each once, without ALGIDs."""
    return Header(Version.V4_3, tuple(HeaderKid(kid, None) for kid in dict.fromkeys(kids)))


def _level(text: str) -> int | None:
    if not text.strip():
        return None
    try:
        return read_number(text.strip(), 0, U16)
    except InvalidValue:
        raise ServiceSpecific(
            f"the device's security level is {quote(text)}, expected a number from 0 to {U16}"
        ) from None
