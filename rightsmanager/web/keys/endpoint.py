"""The paths of the key endpoint.

    GET       /cpix/PROGRAM                    CPIX
    POST      /cpix[/PROGRAM]                  a CPIX request document
    POST      /speke/v2.0/copyProtection       SPEKE 2.0
    POST      /speke/v2.1/copyProtection       SPEKE 2.1; both paths take both versions
    POST      /speke/v1.0/copyProtection       SPEKE 1.0
    GET       /nginx-vod/PROGRAM               nginx-vod-module
    POST      /cenc/getcontentkey[/PROVIDER]   Widevine's Common Encryption API

No answer has cross-origin headers, and `operations.access` refuses requests of web pages.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import structlog

from rightsmanager.errors import InternalError, InvalidMessage, Refusal
from rightsmanager.hooks.exchange import Exchange, Observer
from rightsmanager.hooks.facts import KEY_ENDPOINT, Event, Progress
from rightsmanager.operations.context import Context
from rightsmanager.operations.request import REQUEST_ID, RequestHeaders
from rightsmanager.protocol.wire import Kid
from rightsmanager.web.http import Addressing, read_body
from rightsmanager.web.keys import cpix_forms, json_forms
from rightsmanager.web.keys.calls import Answer, Call, Handler, Headers
from rightsmanager.web.router import ASMX_PATH

Environ = dict[str, Any]
Note = Callable[[str, BaseException], None]

_GET: Final = "GET"
_POST: Final = "POST"
_MAX_LOGGED_KIDS: Final = 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of bodies."""

    max_body: int = 1 << 20
    """Longest body, in bytes."""
    body_seconds: float = 20.0
    """Longest wait for the next bytes of a body."""


def _no_headers(_headers: Mapping[str, str]) -> Headers:
    return ()


@dataclass(frozen=True, slots=True)
class Form:
    """A form of key requests."""

    name: str
    handlers: Mapping[str, Handler]
    """By HTTP method."""
    refuse: Callable[[Refusal], Answer]
    headers: Callable[[Mapping[str, str]], Headers] = _no_headers
    """Returns the form's headers of every answer; receives those of the request."""


FORMS: Final[Mapping[str, Form]] = {
    "/cpix": Form(
        "cpix",
        {_GET: cpix_forms.answer_get, _POST: cpix_forms.answer_post},
        cpix_forms.refuse_cpix,
    ),
    "/speke/v2.0/copyProtection": Form(
        "speke-2.0",
        {_POST: cpix_forms.answer_speke_2},
        cpix_forms.refuse_speke,
        partial(cpix_forms.speke_2_headers, "2.0"),
    ),
    "/speke/v2.1/copyProtection": Form(
        "speke-2.1",
        {_POST: cpix_forms.answer_speke_2},
        cpix_forms.refuse_speke,
        partial(cpix_forms.speke_2_headers, "2.1"),
    ),
    "/speke/v1.0/copyProtection": Form(
        "speke-1.0",
        {_POST: cpix_forms.answer_speke_1},
        cpix_forms.refuse_speke,
        cpix_forms.speke_1_headers,
    ),
    "/nginx-vod": Form(
        "nginx-vod", {_GET: json_forms.answer_nginx_vod}, json_forms.refuse_nginx_vod
    ),
    "/cenc/getcontentkey": Form(
        "getcontentkey",
        {_POST: json_forms.answer_getcontentkey},
        json_forms.refuse_getcontentkey,
    ),
}
"""By the path, or by its beginning before a slash."""


_PREFIXES: Final = tuple(f"{path}/" for path in FORMS)


class WrongMethod(InvalidMessage):
    """A request with a method that the path does not have."""


class KeyEndpoint:
    """Answers requests at the paths of FORMS."""

    def __init__(
        self,
        context: Context,
        addressing: Addressing,
        bounds: Bounds,
        note: Note,
        observers: Sequence[Observer] = (),
    ) -> None:
        """Take the observers, each of which is called with every request and its answer."""
        self._observers = observers
        self._context = context
        self._addressing = addressing
        self._bounds = bounds
        self._note = note
        self._log = structlog.get_logger("rightsmanager").bind()

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        begun = time.perf_counter()
        path = environ["PATH_INFO"]
        prefix = next(each for each in FORMS if f"{path}/".startswith(f"{each}/"))
        form, progress = FORMS[prefix], Progress()
        answer, refusal = self._try(environ, form, path[len(prefix) + 1 :], progress)
        answer = replace(answer, headers=(*form.headers(RequestHeaders(environ)), *answer.headers))
        progress.kids = tuple(map(Kid.from_text, answer.kids))
        ended = time.perf_counter()
        self._log_answer(environ, form, answer, refusal, 1000 * (ended - begun))
        request_id = environ.get(REQUEST_ID, "")
        event = Event(KEY_ENDPOINT, "", progress.kids, refusal, request_id)
        self._context.hooks.on_event(event)
        self._observe(
            Exchange(
                request_id=request_id,
                operation=form.name,
                environ=environ,
                url=self._addressing.url(environ),
                progress=progress,
                refusal=refusal,
                http_status=_status_line(answer),
                content_type=answer.content_type,
                request=b"",
                reply=answer.body,
                begun=begun,
                read=begun,
                ended=ended,
                has_keys=True,
            )
        )
        return _send(answer, environ["REQUEST_METHOD"], start_response)

    def _try(
        self, environ: Environ, form: Form, rest: str, progress: Progress
    ) -> tuple[Answer, Refusal | None]:
        """Return the answer, and the refusal if it is one."""
        try:
            return self._answer(environ, form, rest, progress), None
        except Refusal as refusal:
            if isinstance(refusal, InternalError) and refusal.__cause__ is not None:
                self._note("a key request", refusal.__cause__)
            return _refuse(form, refusal), refusal
        except Exception as error:  # noqa: BLE001 -- the outermost guard
            self._note("a key request", error)
            failure = InternalError("the server failed")
            return _refuse(form, failure), failure

    def _log_answer(
        self,
        environ: Environ,
        form: Form,
        answer: Answer,
        refusal: Refusal | None,
        milliseconds: float,
    ) -> None:
        self._log.info(
            "keys",
            form=form.name,
            kids=list(answer.kids[:_MAX_LOGGED_KIDS]),
            status=str(answer.status.value),
            **({"reason": refusal.text} if refusal else {}),
            ms=round(milliseconds, 3),
            remote=environ["REMOTE_ADDR"],
            request_id=environ.get(REQUEST_ID, ""),
        )

    def _observe(self, exchange: Exchange) -> None:
        for observe in self._observers:
            try:
                observe(exchange)
            except Exception as error:  # noqa: BLE001 -- the answer must not depend on observers
                self._note("an observer of key requests", error)

    def _answer(self, environ: Environ, form: Form, rest: str, progress: Progress) -> Answer:
        method = environ["REQUEST_METHOD"]
        method = _GET if method == "HEAD" else method
        call = Call(
            context=self._context,
            rest=_decode(rest),
            query=environ.get("QUERY_STRING", ""),
            headers=RequestHeaders(environ),
            remote=environ["REMOTE_ADDR"],
            socket=environ.get("gunicorn.socket"),
            url=self._addressing.url({**environ, "PATH_INFO": ASMX_PATH}),
            form=form.name,
            request_id=environ.get(REQUEST_ID, ""),
        )
        self._context.options.packaging_access.refuse_stranger("A key request", call)
        progress.verified = progress.clock()
        handler = form.handlers.get(method)
        if handler is None:
            expected = " or ".join(form.handlers)
            raise WrongMethod(f"the method is {method[:20]}, expected {expected}")
        body = b""
        if method == _POST:
            body = read_body(environ, self._bounds.max_body, self._bounds.body_seconds)
        return handler(replace(call, body=body))


def takes(path: str) -> bool:
    """Return whether a path belongs to the key endpoint."""
    return f"{path}/".startswith(_PREFIXES)


def _refuse(form: Form, refusal: Refusal) -> Answer:
    answer = form.refuse(refusal)
    if isinstance(refusal, WrongMethod):
        allow = ("Allow", ", ".join(form.handlers))
        return replace(answer, status=HTTPStatus.METHOD_NOT_ALLOWED, headers=(allow,))
    if answer.status is HTTPStatus.UNAUTHORIZED:
        challenge = ("WWW-Authenticate", 'Bearer realm="rightsmanager"')
        return replace(answer, headers=(challenge,))
    return answer


def _decode(path: str) -> str:
    try:
        return path.encode("latin-1").decode()
    except UnicodeDecodeError:
        raise InvalidMessage("the path is not UTF-8") from None


def _send(answer: Answer, method: str, start_response: Callable[..., Any]) -> Iterable[bytes]:
    headers = [
        ("Content-Type", answer.content_type),
        ("Content-Length", str(len(answer.body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        *answer.headers,
    ]
    start_response(_status_line(answer), headers)
    return [] if method == "HEAD" else [answer.body]


def _status_line(answer: Answer) -> str:
    return f"{answer.status.value} {answer.status.phrase}"
