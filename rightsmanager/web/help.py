"""The help pages of the asmx: what is served, what messages look like, and the WSDL.

?op=Name               sample messages of one operation
?wsdl, ?singleWsdl     the WSDL, in any letter case
anything else          the list of operations; a `?cfg=` of a licence URL does no harm here
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import parse_qs

from jinja2 import Environment, PackageLoader, StrictUndefined

OK: Final = "200 OK"

_HTML: Final = "text/html; charset=utf-8"
_ROOTS: Final = frozenset({"", "/"})
_WITH_PARAMETERS: Final = "AcquireLicense"
"""The operation whose URLs have parameters."""
_WSDL_QUERIES: Final = frozenset({"wsdl", "singlewsdl"})


@dataclass(frozen=True, slots=True)
class Page:
    """One answer that is no SOAP."""

    status: str
    content_type: str
    body: bytes
    more: tuple[tuple[str, str], ...] = ()

    def headers(self) -> list[tuple[str, str]]:
        """Return its HTTP headers."""
        if not self.content_type:
            return [*self.more]
        return [
            ("Content-Type", self.content_type),
            ("Content-Length", str(len(self.body))),
            *self.more,
        ]


class Described(Protocol):
    """What the pages tell of an operation."""

    @property
    def name(self) -> str:
        """The wire name."""

    @property
    def summary(self) -> str:
        """One sentence."""


@dataclass(frozen=True, slots=True)
class Guide:
    """A page that helps with requests."""

    path: str
    title: str
    page: Callable[[str], Page]
    """The page for a query."""


@dataclass(frozen=True, slots=True)
class Service:
    """What the pages are about."""

    operations: Iterable[Described]
    why_not: Mapping[str, str]
    """Why an operation is not served, by its name; empty or absent if it is."""
    samples: Callable[[str, str], Iterable[tuple[str, str, str]]]
    """Title, request and reply by the operation's name and the URL, for each SOAP version."""
    wsdl: Callable[[str], bytes]
    """The WSDL for the URL of the service."""
    home: str
    """The path of the asmx that the root page links to."""
    guides: tuple[Guide, ...] = ()
    """Further pages that these ones link to."""


class HelpPages:
    """Renders the pages; templates are read once, when it is made."""

    def __init__(self, service: Service) -> None:
        templates = load_templates()
        self._list, self._operation, self._notice = (
            templates.get_template(name) for name in ("list.html", "operation.html", "notice.html")
        )
        self._service = service
        self._operations = {operation.name.lower(): operation for operation in service.operations}

    def asmx(self, query: str, url: str) -> Page:
        """Return what a GET of the asmx shows."""
        if re.split("[=&]", query.lower())[0] in _WSDL_QUERIES:
            return Page(OK, "text/xml; charset=utf-8", self._service.wsdl(url))
        wanted = parse_qs(query).get("op")
        return self._one(wanted[0], url) if wanted else self._all(url)

    def find(self, path: str) -> Callable[[str], Page] | None:
        """Return what makes the page at a path of its own from the query, None if none is."""
        if path in _ROOTS:
            return lambda _: self.root()
        return next((guide.page for guide in self._service.guides if guide.path == path), None)

    def root(self) -> Page:
        """Return what stands at /."""
        return self._note(OK, "RightsManager", "A PlayReady test server. The service is here:")

    def not_found(self) -> Page:
        """Return what any path without a page shows."""
        return self._note("404 Not Found", "Nothing here", "The service is at another path:")

    def not_allowed(self, allow: str) -> Page:
        """Return the refusal of a method, with those that are allowed."""
        page = self._note("405 Method Not Allowed", "Method not allowed", f"Allowed: {allow}.")
        return Page(page.status, page.content_type, page.body, (("Allow", allow),))

    def _all(self, url: str) -> Page:
        return html(
            OK,
            self._list.render(
                operations=self._operations.values(),
                why_not=self._service.why_not,
                url=url,
                guides=self._service.guides,
            ),
        )

    def _one(self, name: str, url: str) -> Page:
        operation = self._operations.get(name.lower())
        if operation is None:
            return self._note("404 Not Found", "No such operation", "The nine are listed here:")
        return html(OK, self._operation.render(self._about(operation, url)))

    def _about(self, operation: Described, url: str) -> dict[str, Any]:
        return {
            "operation": operation,
            "why_not": self._service.why_not.get(operation.name, ""),
            "exchanges": self._service.samples(operation.name, url),
            "url": url,
            "guides": self._service.guides if operation.name == _WITH_PARAMETERS else (),
        }

    def _note(self, status: str, title: str, text: str) -> Page:
        home = self._service.home
        return html(status, self._notice.render(title=title, text=text, home=home))


def load_templates() -> Environment:
    """Return the templates of all pages; whatever they are given is escaped."""
    templates = Environment(
        loader=PackageLoader("rightsmanager.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["spelled"] = _spelled
    return templates


def html(status: str, text: str, more: tuple[tuple[str, str], ...] = ()) -> Page:
    """Return a page of a rendered template."""
    return Page(status, _HTML, text.encode(errors="replace"), more)


def _spelled(value: object) -> str:
    """Return a fact's value as a page shows it."""
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
