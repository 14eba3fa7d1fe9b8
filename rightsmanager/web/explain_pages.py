"""Two pages for who writes licence URLs: what a request would get, and the list of parameters.

    /explain       ?asked=…&customdata=…&kids=…&level=…, and the answer below the form
    /parameters    every parameter

The form is sent by GET, so that an answer has an address. What is in it may be a content key: the
answer is not stored, and links do not tell where they were followed from.
"""

from collections.abc import Iterable
from typing import Any, Final, Protocol
from urllib.parse import parse_qs

from rightsmanager.web.help import OK, Guide, Page, html, load_templates

EXPLAIN_PATH: Final = "/explain"
PARAMETERS_PATH: Final = "/parameters"
_FIELDS: Final = ("asked", "customdata", "kids", "level")
_MAX_FIELDS: Final = 20
"""More fields than this are no form of ours."""
_PRIVATE: Final = (("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer"))


class Explain(Protocol):
    """Tells what a request would get."""

    def __call__(self, *, asked: str, custom_data: str, kids: str, level: str) -> object:
        """Return what the template shows, whatever the texts are."""


class ExplainPages:
    """Renders both pages; templates are read once, when it is made."""

    def __init__(self, explain: Explain, parameters: Iterable[object], home: str) -> None:
        templates = load_templates()
        self._explain = explain
        self._template = templates.get_template("explain.html")
        self._home = home
        self._parameters = html(
            OK,
            templates.get_template("parameters.html").render(
                parameters=tuple(parameters), home=home, explain=EXPLAIN_PATH
            ),
        )

    def guides(self) -> tuple[Guide, ...]:
        """Return both pages with their paths and titles."""
        return (
            Guide(EXPLAIN_PATH, "Explain a licence URL", self.explain),
            Guide(PARAMETERS_PATH, "List of parameters", lambda _: self._parameters),
        )

    def explain(self, query: str) -> Page:
        """Return the form, and below it the answer where something was asked."""
        fields = _fields(query)
        answer: Any = None
        if any(fields.values()):
            answer = self._explain(
                asked=fields["asked"],
                custom_data=fields["customdata"],
                kids=fields["kids"],
                level=fields["level"],
            )
        text = self._template.render(
            fields=fields, answer=answer, home=self._home, parameters=PARAMETERS_PATH
        )
        return html(OK, text, _PRIVATE)


def _fields(query: str) -> dict[str, str]:
    try:
        found = parse_qs(query, max_num_fields=_MAX_FIELDS, errors="replace")
    except ValueError:
        found = {}
    return {name: found.get(name, [""])[0].strip() for name in _FIELDS}
