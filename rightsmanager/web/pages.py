"""The pages: operations, sample messages, the WSDL, and help with licence URLs.

    …/rightsmanager.asmx      the operations that are served
        ?op=Name              sample messages of one operation
        ?wsdl, ?singleWsdl    the WSDL, in any letter case
        ?disco                the addresses of the WSDL and of the service
        ?explain              a form: the licences that a request would get
        ?parameters           all parameters of licence URLs
        ?style                the style sheet of these pages
    /explain, /parameters     the same two, at short addresses
    /public/NAME              the public keys and certificates that clients need
    /                         links to all of it

The form is sent by GET, so that an answer has an address. It may contain a content key: the answer
is not stored, and links from it carry no referrer.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import parse_qs, urlencode

from flask import Flask, Response, render_template, request

from rightsmanager.web.look import PRIVATE, html, notice, serve_style, service_link
from rightsmanager.web.router import ASMX_PATH, SERVICE_URL

EXPLAIN_PATH: Final = "/explain"
PARAMETERS_PATH: Final = "/parameters"
PUBLIC_PATH: Final = "/public"
RIGHTS_PATH: Final = "/getrights.html"
"""The page for people that a header may name as LUI_URL."""

_FIELDS: Final = ("asked", "customdata", "kids", "level")
# Queries of the service's own path: proxies often pass nothing else on.
_GUIDES: Final = (("?explain", "Explain a licence URL"), ("?parameters", "List of parameters"))
_MAX_FIELDS: Final = 20
"""The form has fewer fields."""
_WITH_PARAMETERS: Final = "AcquireLicense"
"""The operation whose URLs have parameters."""


class Described(Protocol):
    """An operation as the pages describe it."""

    @property
    def name(self) -> str:
        """The wire name."""

    @property
    def summary(self) -> str:
        """One sentence."""

    @property
    def profile(self) -> str:
        """The parts that follow no publication, empty if there are none."""


class Explain(Protocol):
    """Explains a request."""

    def __call__(self, *, asked: str, custom_data: str, kids: str, level: str) -> object:
        """Return an explanation for the template; no text raises."""


@dataclass(frozen=True, slots=True)
class Site:
    """The contents of the pages."""

    operations: Mapping[str, Described]
    why_not: Mapping[str, str]
    """The reason that an operation is not served, by its name; empty or absent if it is served."""
    samples: Callable[[str, str], Iterable[tuple[str, str, str]]]
    """Title, request and reply by an operation's name and the URL, for each SOAP version."""
    wsdl: Callable[[str], bytes]
    """The WSDL for the URL of the service."""
    explain: Explain
    parameters: Sequence[object]
    """The rows of the table of parameters."""
    public_files: Mapping[str, bytes]
    """The public keys and certificates that clients need, by file name."""


def add_pages(app: Flask, site: Site) -> None:
    """Add the pages to an application that has their look."""
    app.jinja_env.globals["explain_link"] = _explain_link
    _add_service(app, site)
    _add_guides(app, site)
    _add_public_files(app, site.public_files)

    # route, not get: the API describes what is added by get.
    @app.route("/")
    def home() -> Response:
        url: str = request.environ[SERVICE_URL]
        # A public URL that names the service is the same for every path.
        is_service = url.lower().endswith(ASMX_PATH)
        service = url if is_service else url.rstrip("/") + ASMX_PATH
        return html(render_template("home.html", url=service))

    @app.route(RIGHTS_PATH)
    def get_rights() -> Response:
        text = "Every player gets a licence from this test server, at the LA_URL of the content:"
        return notice(200, "Get a licence", text)


def _explain_link(asked: str) -> str:
    link = service_link("explain")
    return f"{link}{'&' if link.startswith('?') else '?'}{urlencode({'asked': asked})}"


def _add_service(app: Flask, site: Site) -> None:
    by_name = {name.lower(): operation for name, operation in site.operations.items()}
    pages = _queries(site)

    # POST never comes here; it is named for the header Allow of a refused method.
    @app.route(ASMX_PATH, methods=["GET", "POST"])
    def asmx() -> Response:
        query, url = request.query_string.decode("latin-1"), request.environ[SERVICE_URL]
        page = pages.get(re.split("[=&]", query.lower())[0])
        if page is not None:
            return page(query, url)
        name = parse_qs(query).get("op", [""])[0]
        if not name:
            return _operations(site, url)
        operation = by_name.get(name.lower())
        if operation is None:
            return notice(404, "No such operation", "The nine are listed here:")
        return _operation(site, operation, url)


def _queries(site: Site) -> dict[str, Callable[[str, str], Response]]:
    """Return the pages by the first name in the query of the service's path."""
    rows = site.parameters

    def wsdl(_query: str, url: str) -> Response:
        return Response(site.wsdl(url), mimetype="text/xml")

    def disco(_query: str, url: str) -> Response:
        return Response(render_template("disco.xml", url=url), mimetype="text/xml")

    return {
        "wsdl": wsdl,
        "singlewsdl": wsdl,
        "disco": disco,
        "explain": lambda query, _: _explain(site, query),
        "parameters": lambda _, __: _parameters(rows),
        "style": lambda _, __: serve_style(),
    }


def _operations(site: Site, url: str) -> Response:
    return html(
        render_template(
            "list.html",
            operations=site.operations.values(),
            why_not=site.why_not,
            url=url,
            guides=_GUIDES,
        )
    )


def _operation(site: Site, operation: Described, url: str) -> Response:
    return html(
        render_template(
            "operation.html",
            operation=operation,
            why_not=site.why_not.get(operation.name, ""),
            exchanges=site.samples(operation.name, url),
            guides=_GUIDES if operation.name == _WITH_PARAMETERS else (),
        )
    )


def _add_guides(app: Flask, site: Site) -> None:
    rows = site.parameters

    @app.route(EXPLAIN_PATH)
    def explain() -> Response:
        return _explain(site, request.query_string.decode("latin-1"))

    @app.route(PARAMETERS_PATH)
    def parameters() -> Response:
        return _parameters(rows)


def _explain(site: Site, query: str) -> Response:
    fields = _read_fields(query)
    answer = None
    if any(fields.values()):
        answer = site.explain(
            asked=fields["asked"],
            custom_data=fields["customdata"],
            kids=fields["kids"],
            level=fields["level"],
        )
    return html(render_template("explain.html", fields=fields, answer=answer), headers=PRIVATE)


def _parameters(rows: Sequence[object]) -> Response:
    return html(render_template("parameters.html", parameters=rows))


def _add_public_files(app: Flask, files: Mapping[str, bytes]) -> None:
    @app.route(f"{PUBLIC_PATH}/<name>")
    def public_file(name: str) -> Response:
        data = files.get(name)
        if data is None:
            return notice(404, "No such file", f"Public files: {', '.join(files)}.")
        # A keyring may be replaced by another with the same names.
        headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
        return Response(data, headers=headers, mimetype="application/octet-stream")


def _read_fields(query: str) -> dict[str, str]:
    try:
        found = parse_qs(query, max_num_fields=_MAX_FIELDS, errors="replace")
    except ValueError:
        found = {}
    return {name: found.get(name, [""])[0].strip() for name in _FIELDS}
