"""The WSGI side of the application: spyne's steps for one call, with a guard round them.

generate_contexts   bytes → envelope → operation    Incoming
get_in_object       envelope → Request              Incoming
get_out_object      Request → the Body's child      the operation
get_out_string      the Body's child → bytes        Outgoing
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from rightsmanager.errors import Refusal
from rightsmanager.hooks.exchange import Exchange, Observer
from rightsmanager.hooks.facts import Progress
from rightsmanager.operations.request import GIVES_KEYS, REQUEST_ID
from rightsmanager.policy.masking import mask_query, mask_url
from rightsmanager.soap.application import RightsManagerApplication
from rightsmanager.soap.faults import RefusalFault, build_fault, clean
from rightsmanager.soap.protocols import (
    CONTENT_TYPES,
    build_envelope,
    operation_named,
    soap_action,
    soap_version,
)
from rightsmanager.soap.spyne_import import HttpMethodContext, SpyneContext, WsgiApplication

OK: Final = "200 OK"
FAULT: Final = "500 Internal Server Error"
_PACKAGING: Final = "AcquirePackagingData"
WARNING_HEADER: Final = "X-RightsManager-Warning"
MAX_LOGGED_KIDS: Final = 20
"""KIDs of a request in its log event, which are enough to find it."""
MAX_REASON: Final = 1024
"""Longest text of a fault in the log, in characters."""
# A query may have thousands of unknown names, and clients limit the size of headers.
MAX_WARNINGS: Final = 8

Environ = dict[str, Any]
StartResponse = Callable[..., Any]


class Context(HttpMethodContext):  # type: ignore[misc] # spyne ships no types
    """One call; its `udc` is the URL that the client asked for."""

    __setattr__ = object.__setattr__
    """spyne's own checks every name against typos, sixty times a call."""

    def release(self) -> None:
        """Drop all references at once.

        The parts of a context refer to each other, so they would stay in memory until the next
        garbage collection, and the next call would use memory that is not in the CPU's cache.
        """
        for part in (self.inprot_ctx, self.outprot_ctx, self):
            if part is not None:
                part.__dict__.clear()

    def fire_event(self, event: str, *arguments: object, **options: object) -> None:
        """Do nothing: each call fires eight events, and none has a listener."""


class SoapServer(WsgiApplication):  # type: ignore[misc] # spyne ships no types
    """Answers each request with a reply or a fault, and nothing else."""

    def __init__(
        self,
        application: RightsManagerApplication,
        observers: Sequence[Observer] = (),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__(application)
        self._incidents = application.incidents
        self._observers = observers
        self._clock = clock

    def __call__(
        self, req_env: Environ, start_response: StartResponse, wsgi_url: str | None = None
    ) -> list[bytes]:
        """Answer the envelope in `wsgi.input`, CONTENT_LENGTH bytes; `wsgi_url` has no query."""
        begun = self._clock()
        ctx = Context(self, req_env, "")
        ctx.udc = wsgi_url or ""
        request = req_env["wsgi.input"].read(int(req_env.get("CONTENT_LENGTH") or 0))
        ctx.in_string = [request]
        ctx.read_at = 0.0
        try:
            self._run(ctx)
        except Exception as error:  # noqa: BLE001 -- the outermost guard
            self._fail(ctx, error)
            self.get_out_string(ctx)
        ctx.close()
        exchange = self._complete(ctx, begun, request)
        self._log(exchange)
        if self._observers:
            self._observe(exchange)
        ctx.release()
        if exchange.operation == _PACKAGING and exchange.refusal is None:
            req_env[GIVES_KEYS] = True
        return _send(start_response, exchange)

    def _complete(self, ctx: SpyneContext, begun: float, request: bytes) -> Exchange:
        refusal = ctx.out_error and ctx.out_error.refusal
        return Exchange(
            request_id=ctx.transport.req.get(REQUEST_ID, ""),
            operation=ctx.method_name or "",
            environ=ctx.transport.req,
            url=ctx.udc,
            progress=ctx.in_object[0].progress if ctx.in_object else Progress(),
            refusal=refusal,
            http_status=FAULT if refusal else OK,
            content_type=ctx.transport.mime_type,
            request=request,
            reply=ctx.out_string[0],
            begun=begun,
            read=ctx.read_at,
            ended=self._clock(),
        )

    def generate_contexts(
        self,
        ctx: SpyneContext,
        in_string_charset: str | None = None,
    ) -> tuple[Any]:
        """Return the call's one context, which holds the fault if the envelope was refused."""
        try:
            contexts: tuple[Any] = super().generate_contexts(ctx, in_string_charset)
        except Exception as error:  # noqa: BLE001 -- spyne passes on all but its own Fault
            self._fail(ctx, error)
            return (ctx,)
        return contexts

    def find_operation(self, req_env: Environ) -> str:
        """Return the operation that the HTTP headers name, empty if they name none."""
        return operation_named(soap_action(req_env))

    def refuse(
        self,
        req_env: Environ,
        start_response: StartResponse,
        url: str,
        refusal: Refusal,
        status: str = FAULT,
    ) -> list[bytes]:
        """Answer a request with a fault without reading its body."""
        version = soap_version(req_env.get("CONTENT_TYPE", ""))
        actor = mask_url(url, req_env.get("QUERY_STRING", ""))
        now = self._clock()
        exchange = Exchange(
            request_id=req_env.get(REQUEST_ID, ""),
            operation="",
            environ=req_env,
            url=url,
            progress=Progress(),
            refusal=refusal,
            http_status=status,
            content_type=CONTENT_TYPES[version],
            request=b"",
            reply=b"".join(build_envelope(version, build_fault(version, refusal, actor))),
            begun=now,
            read=0.0,
            ended=now,
        )
        self._log(exchange)
        self._observe(exchange)
        return _send(start_response, exchange)

    def _run(self, ctx: SpyneContext) -> None:
        self.generate_contexts(ctx)
        if ctx.out_error is None:
            self.get_in_object(ctx)
            ctx.read_at = self._clock()
            self.get_out_object(ctx)
        self.get_out_string(ctx)

    def _observe(self, exchange: Exchange) -> None:
        for observe in self._observers:
            try:
                observe(exchange)
            except Exception as error:  # noqa: BLE001 -- the reply must not depend on observers
                self._incidents.note(error)

    def _fail(self, ctx: SpyneContext, error: Exception) -> None:
        ctx.out_error = RefusalFault(self._incidents.refusal(error))
        ctx.out_document = None

    def _log(self, exchange: Exchange) -> None:
        environ, refusal = exchange.environ, exchange.refusal
        facts = _describe(exchange.progress)
        if exchange.request_id:
            facts["request_id"] = exchange.request_id
        if query := environ.get("QUERY_STRING"):
            facts["query"] = mask_query(query)
        if refusal is not None:
            facts["reason"] = clean(refusal.text, MAX_REASON)
        self._incidents.log.info(
            "call",
            operation=exchange.operation,
            **facts,
            status="ok" if refusal is None else refusal.status.hex,
            ms=round(1000 * (exchange.ended - exchange.begun), 3),
            remote=environ.get("REMOTE_ADDR", ""),
            bytes_in=int(environ.get("CONTENT_LENGTH") or 0),
            bytes_out=len(exchange.reply),
        )


def _describe(progress: Progress) -> dict[str, object]:
    """Return the facts of a request for the log."""
    facts: dict[str, object] = {}
    if progress.device:
        facts["device"] = progress.device
    if progress.kids:
        facts["kids"] = [kid.text for kid in progress.kids[:MAX_LOGGED_KIDS]]
    if progress.warnings:
        facts["warnings"] = tuple([each.text for each in progress.warnings[:MAX_WARNINGS]])
    return facts


def _send(start_response: StartResponse, exchange: Exchange) -> list[bytes]:
    headers = [
        ("Content-Type", exchange.content_type),
        ("Content-Length", str(len(exchange.reply))),
        ("Cache-Control", "private"),
    ]
    if exchange.progress.warnings:
        warnings = exchange.progress.warnings[:MAX_WARNINGS]
        headers += [(WARNING_HEADER, each.text) for each in warnings]
    start_response(exchange.http_status, headers)
    return [exchange.reply]
