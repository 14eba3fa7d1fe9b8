"""The composition root: the one place that knows every part and puts them together."""

import hmac
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rightsmanager import __version__, inspection
from rightsmanager.admin.management import Management, ManagementOptions
from rightsmanager.admin.royalty import Prices
from rightsmanager.assembly import (
    api_token,
    content_keys,
    domain_authority,
    license_defaults,
    make_recorder,
    make_refuse_signers,
    open_journal,
    open_keyring,
    open_store,
    packaging_access,
    packaging_options,
    packaging_recipient,
    packaging_signer,
    recorded_requests,
    refuse_other_keyring,
    replay_window,
    stream_settings,
)
from rightsmanager.crypto.p256 import Backend
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.random import Rng, system_random
from rightsmanager.errors import InternalError
from rightsmanager.hooks.calls import Hooks
from rightsmanager.hooks.exchange import Exchange, Observer
from rightsmanager.hooks.hook_set import HookSet, load_hooks
from rightsmanager.inspection import Description
from rightsmanager.inspection.explanation import Defaults, Explanation, explain_form
from rightsmanager.inspection.reference import parameter_rows
from rightsmanager.journal.decoding import Decoded, decode
from rightsmanager.journal.journal import Journal
from rightsmanager.journal.recorder import Recorder
from rightsmanager.keyring import Keyring
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.keyring.identities import ROOT
from rightsmanager.logs import log_check, log_failure, log_wrong_token
from rightsmanager.monitoring.checks import (
    DATABASE,
    clock_check,
    database_check,
    disk_check,
    keyring_check,
)
from rightsmanager.monitoring.health import CheckResult, Readiness
from rightsmanager.monitoring.layout import DATABASE_CELLS
from rightsmanager.monitoring.paths import Answer, Expose, Refuse, monitoring_paths, refusal
from rightsmanager.monitoring.refusals import count_refusals
from rightsmanager.monitoring.request_counter import RequestCounter
from rightsmanager.monitoring.shared_cells import SHARED_CELLS, SharedCells
from rightsmanager.operations.context import Context, Options, RevocationCache, Signing, unix_time
from rightsmanager.operations.metering_keys import MeteringKeys
from rightsmanager.operations.secure_stop_keys import SecureStopKeys
from rightsmanager.operations.table import bind_operations
from rightsmanager.operations.tracks import look_up_policies
from rightsmanager.protocol.formats.bcert import ChainVerifier
from rightsmanager.protocol.messages.challenge import ChallengeReader
from rightsmanager.protocol.messages.operations import OPERATIONS, Role
from rightsmanager.protocol.wire import Kid
from rightsmanager.settings import Settings
from rightsmanager.soap import application, samples, wsdl
from rightsmanager.soap.application import ServiceOperation
from rightsmanager.soap.server import SoapServer
from rightsmanager.store.database import Store, StoreFailed
from rightsmanager.store.journal.entries import StoredEntry
from rightsmanager.store.schema import find_database_file
from rightsmanager.web.access import Access, AccessMode, AccessSettings, Refused
from rightsmanager.web.http import Addressing, make_cross_origin
from rightsmanager.web.keys.endpoint import Bounds, KeyEndpoint, takes
from rightsmanager.web.router import Router, RouterSettings

if TYPE_CHECKING:
    from rightsmanager.lab.worlds import Worlds
    from rightsmanager.web.api.parts import ApiParts, Describe
    from rightsmanager.web.application import Contents
    from rightsmanager.web.console.parts import Parts
    from rightsmanager.web.pages import Site
    from rightsmanager.worlds import Lab

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Runtime:
    """The clock, the randomness and the passphrase of a run."""

    clock: Callable[[], int] = unix_time
    rng: Rng = system_random
    passphrase: bytes | None = field(default=None, repr=False)
    is_loopback: bool = False
    """True if the server is known to be bound to loopback addresses only."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """The variable or the file of each setting that is not at its default."""
    cells: SharedCells = SHARED_CELLS
    """The counts of this process and of the other workers."""


@dataclass(frozen=True, slots=True)
class Server:
    """An assembled server."""

    wsgi: Wsgi
    context: Context
    keyring: Keyring
    operations: Mapping[str, ServiceOperation]
    journal: Journal
    recorder: Recorder | None
    """Writes the journal; None if it is off."""

    @property
    def store(self) -> Store:
        """The store of its operations."""
        return self.context.store


def build(settings: Settings, runtime: Runtime) -> Server:
    """Return the server that the settings describe; raises InternalError for invalid settings."""
    keyring = open_keyring(settings, runtime.passphrase)
    context = build_context(settings, runtime, keyring)
    operations = bind_operations(context)
    roles = frozenset(Role(role) for role in settings.server.roles)

    def make_pages() -> Wsgi:
        worlds = None if lab is None else lab.worlds
        pages = make_server_pages(settings, runtime, server, worlds)
        is_counted = settings.metrics.access != "off"
        return count_refusals(pages, runtime.cells) if is_counted else pages

    recorder = make_recorder(settings, log_failure, is_loopback=runtime.is_loopback)
    journal = open_journal(settings)
    shared = _observers(settings, runtime, context)
    observers: list[Observer] = [*shared, *([] if recorder is None else [recorder])]
    soap = SoapServer(application.build(operations, roles), observers)
    paths = _operator_paths(settings, runtime, context, keyring, journal)
    router = Router(soap, make_pages, router_settings(settings, context, paths, observers))
    server = Server(router, context, keyring, operations, journal, recorder)
    lab = _make_lab(settings, runtime, server, shared) if settings.lab.enabled else None
    return server if lab is None else replace(server, wsgi=lab.wsgi)


def _make_lab(
    settings: Settings, runtime: Runtime, server: Server, observers: Sequence[Observer]
) -> "Lab":
    # Imported here: it imports this module, and only a server with worlds needs it.
    from rightsmanager.worlds import make_lab  # noqa: PLC0415

    return make_lab(settings, runtime, server, observers)


def build_context(settings: Settings, runtime: Runtime, keyring: Keyring) -> Context:
    """Return the context of the operations; its store opens connections when it is used."""
    store = open_store(settings)
    refuse_other_keyring(store, keyring)
    # Workers are forked from here, and open connections of their own.
    store.close()
    readers = make_readers(settings, keyring)
    return make_context(settings, runtime, keyring, store, readers)


@dataclass(frozen=True, slots=True)
class Readers:
    """The parts of a context that follow from the trust anchors alone, with their caches."""

    verifier: ChainVerifier
    reader: ChallengeReader
    backend: Backend


def make_readers(settings: Settings, keyring: Keyring) -> Readers:
    """Return the readers of messages that are signed under the trust anchors of a keyring."""
    verifier = ChainVerifier(keyring.trust_anchors, settings.crypto.chain_cache)
    reader = ChallengeReader(verifier.parse, settings.crypto.chain_cache)
    return Readers(verifier, reader, choose_backend(settings.crypto.backend))


def make_context(
    settings: Settings, runtime: Runtime, keyring: Keyring, store: Store, readers: Readers
) -> Context:
    """Return the context of the operations on a store."""
    return Context(
        server_keys=keyring.server_keys,
        signing=Signing(
            keyring.signing_key, keyring.signing_chain.raw, settings.license.sign == "always"
        ),
        verifier=readers.verifier,
        reader=readers.reader,
        store=store,
        revocations=RevocationCache(store),
        content_keys=content_keys(settings, keyring),
        metering_keys=MeteringKeys(keyring.metering, keyring.storage_key, store),
        secure_stop_keys=SecureStopKeys(keyring.secure_stop_secret),
        domains=domain_authority(settings, keyring, runtime.rng),
        hooks=_hooks(settings),
        backend=readers.backend,
        clock=runtime.clock,
        rng=runtime.rng,
        options=_options(settings, runtime),
    )


def _hooks(settings: Settings) -> Hooks:
    options = {"data": str(settings.data), **settings.hooks.options}
    others = [_backend_hooks(settings)] if settings.hooks.url else []
    hook_set = load_hooks(settings.hooks.make, options, *others)
    return Hooks(hook_set, settings.hooks.timeout_seconds, log_failure)


def hooks_secret_file(settings: Settings) -> Path:
    """Return the file of the secret that the server shares with the back end of hooks."""
    return Path(settings.hooks.secret_file or settings.data / "keyring" / "hooks.secret")


def _backend_hooks(settings: Settings) -> HookSet:
    # Imported here: urllib3 takes 70 ms, which servers without a back end do not need.
    from rightsmanager.hooks.backend.client import BackEnd, BackEndOptions  # noqa: PLC0415
    from rightsmanager.hooks.backend.hook import make_backend_hooks  # noqa: PLC0415
    from rightsmanager.hooks.backend.signing import read_secret  # noqa: PLC0415

    given = settings.hooks
    options = BackEndOptions(
        url=given.url,
        secret=read_secret(hooks_secret_file(settings)),
        connect_seconds=given.connect_timeout_seconds,
        answer_seconds=given.answer_timeout_seconds,
        max_failures=given.max_failures,
        retry_seconds=given.retry_seconds,
    )
    # The system's clock: that of a world may have any time.
    back_end = BackEnd(options, system_random, unix_time)
    operations = frozenset[str](given.operations)
    return make_backend_hooks(back_end, operations, sends_events=given.send_events)


def _options(settings: Settings, runtime: Runtime) -> Options:
    return Options(
        defaults=license_defaults(settings),
        acknowledge_persistent=settings.license.acknowledge == "persistent",
        replay_window_seconds=replay_window(settings),
        streams=stream_settings(settings),
        max_records=settings.metering.max_records,
        keep_reports=settings.metering.keep_reports_days > 0,
        max_sessions=settings.secure_stop.max_sessions,
        max_deleted_kids=settings.secure_delete.max_kids,
        packaging=packaging_options(settings),
        replace_kid=settings.packaging.replace_kid,
        refuse_signers=make_refuse_signers(settings, runtime.clock),
        recipient=packaging_recipient(settings),
        signer=packaging_signer(settings),
        packaging_access=packaging_access(settings, runtime.clock, is_loopback=runtime.is_loopback),
    )


def router_settings(
    settings: Settings,
    context: Context,
    operator_paths: Mapping[str, Wsgi],
    observers: Sequence[Observer],
) -> RouterSettings:
    """Return the settings of a server's switch; observers: those of key requests."""
    server = settings.server
    is_packaging = "packaging" in server.roles
    keys = (takes, _key_endpoint(settings, context, observers)) if is_packaging else None
    return RouterSettings(
        addressing=addressing(settings),
        cross_origin=make_cross_origin(server),
        max_body=server.max_body,
        max_bodies={"ProcessMeteringData": max(server.max_body, settings.metering.max_body)},
        body_seconds=float(server.timeout_seconds),
        operator_paths=operator_paths,
        key_endpoint=keys,
    )


def _key_endpoint(
    settings: Settings, context: Context, observers: Sequence[Observer]
) -> KeyEndpoint:
    server = settings.server
    bounds = Bounds(server.max_body, float(server.timeout_seconds))
    return KeyEndpoint(context, addressing(settings), bounds, log_failure, observers)


def addressing(settings: Settings) -> Addressing:
    """Return the settings from which addresses follow."""
    return Addressing(settings.server.public_url, settings.server.trust_forwarded)


def _access_settings(settings: Settings, runtime: Runtime) -> AccessSettings:
    """Return the rule for operators; raises InternalError for an invalid token's file."""
    return AccessSettings(
        mode=settings.api.access,
        is_loopback=runtime.is_loopback,
        addressing=addressing(settings),
        token=api_token(settings),
    )


def make_management(
    settings: Settings, runtime: Runtime, context: Context, keyring: Keyring
) -> Management:
    """Return everything that operators do on a server."""
    metering = settings.metering
    return Management(
        store=context.store,
        keyring=keyring,
        files=KeyFiles(settings.data, runtime.passphrase),
        authority=context.domains,
        content_keys=context.content_keys,
        clock=context.clock,
        rng=context.rng,
        options=ManagementOptions(
            data=settings.data,
            metering_url=settings.effective_metering_url,
            keep_reports_days=metering.keep_reports_days,
            prices=Prices(metering.price_per_play, metering.price_per_title, metering.currency),
            packaging=context.options.packaging,
            licenses=context.options.defaults,
            public_url=settings.server.public_url,
        ),
    )


def _observers(settings: Settings, runtime: Runtime, context: Context) -> list[Observer]:
    """Return the observers of exchanges that the settings switch on."""
    observers: list[Observer] = []
    if settings.metrics.access != "off":
        runtime.cells.bind(context.store.meter, DATABASE_CELLS)
        observers.append(RequestCounter(runtime.cells, _count_caches(context)))
    if settings.tracing.enabled:
        observers.append(_make_tracing())
    return observers


def _count_caches(context: Context) -> dict[str, Callable[[], tuple[int, int]]]:
    verifier, revocations = context.verifier, context.revocations
    return {
        "chains": lambda: (verifier.hits, verifier.misses),
        "clients": context.reader.count_clients,
        "headers": context.reader.count_headers,
        "revocations": lambda: (revocations.hits, revocations.misses),
    }


def _make_tracing() -> Observer:
    # Imported here: an optional dependency, which takes 30 ms.
    try:
        from rightsmanager.monitoring.tracing import (  # noqa: PLC0415
            SpanMaker,
            make_provider,
        )
    except ModuleNotFoundError as error:
        raise InternalError(
            f"tracing.enabled is true, but {error.name} is not installed: "
            "run pip install 'rightsmanager[otel]'"
        ) from None

    @cache
    def make() -> SpanMaker:
        # With the first request: its thread must not begin before the workers are forked.
        return SpanMaker(make_provider())

    def observe(exchange: Exchange) -> None:
        make()(exchange)

    return observe


def _operator_paths(
    settings: Settings, runtime: Runtime, context: Context, keyring: Keyring, journal: Journal
) -> Mapping[str, Wsgi]:
    """Return the paths of health and metrics."""
    readiness = _readiness(settings, context, keyring)
    if settings.metrics.access == "off":
        return monitoring_paths(readiness, None)

    @cache
    def make() -> Expose:
        # Imported here: the library is used for scrapes only.
        from rightsmanager.monitoring.exposition import Sources, make_expose  # noqa: PLC0415

        sources = Sources(readiness.check, journal.accounting)
        return make_expose(runtime.cells, sources, _build_info(settings))

    def expose(accept: str) -> tuple[bytes, str]:
        return make()(accept)

    refuse = _refuse_scrapers(
        settings, runtime, make_management(settings, runtime, context, keyring)
    )
    return monitoring_paths(readiness, (expose, refuse))


def _readiness(settings: Settings, context: Context, keyring: Keyring) -> Readiness:
    url = settings.effective_database_url
    files = [KeyFiles(settings.data, None).public_file(ROOT.name)]
    if (database := find_database_file(url)) is not None:
        files += [database, database.with_name(f"{database.name}-wal")]
    checks = {
        DATABASE: database_check(url),
        "keyring": keyring_check(keyring),
        "disk": disk_check(settings.data, settings.health.min_free_bytes),
        "clock": clock_check(context.clock, keyring, files),
    }

    def note(result: CheckResult) -> None:
        log_check(result.name, is_ok=result.is_ok, text=result.text, detail=result.detail)

    return Readiness(checks, settings.health.timeout_seconds, note)


def _build_info(settings: Settings) -> dict[str, str]:
    return {
        "version": __version__,
        "python": platform.python_version(),
        "database": settings.effective_database_url.partition(":")[0].partition("+")[0],
    }


def _refuse_scrapers(settings: Settings, runtime: Runtime, management: Management) -> Refuse:
    """Return the rule of `metrics.access`."""
    if settings.metrics.access == "open":
        return lambda _: None
    mode: AccessMode = "auto" if settings.metrics.access == "auto" else "token"
    access = _make_access(replace(_access_settings(settings, runtime), mode=mode), management)

    def refuse(environ: dict[str, Any]) -> Answer | None:
        try:
            found = access.authorize_api(environ)
        except InternalError:
            # The token of the settings needs no database.
            text = "the token cannot be checked, since the database failed"
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, text)
        if not isinstance(found, Refused):
            return None
        return refusal(HTTPStatus(found.http_status), found.text, found.headers)

    return refuse


def make_server_pages(
    settings: Settings, runtime: Runtime, server: Server, worlds: "Worlds | None" = None
) -> Wsgi:
    """Return the application of a server's pages, its console and its API."""
    contents = make_contents(settings, runtime, server, worlds)
    access = make_access(settings, runtime, contents.console.management)
    return make_pages(settings, contents, access)


def make_contents(
    settings: Settings, runtime: Runtime, server: Server, worlds: "Worlds | None" = None
) -> "Contents":
    """Return the contents of a server's pages, its console and its API."""
    from rightsmanager.web.application import Contents  # noqa: PLC0415 -- as in _make_site

    management = make_management(settings, runtime, server.context, server.keyring)
    parts = _make_parts(settings, runtime, server, management)
    return Contents(
        site=_make_site(server.context, server.keyring, _find_unserved(settings, server)),
        console=parts,
        api=_make_api_parts(parts, server.context, worlds, addressing(settings)),
    )


def _find_unserved(settings: Settings, server: Server) -> Mapping[str, str]:
    """Return the reason for each operation that is not served, empty for the others."""
    roles = frozenset(Role(role) for role in settings.server.roles)
    return {
        name: application.why_not(operation, server.operations, roles)
        for name, operation in OPERATIONS.items()
    }


def _make_site(context: Context, keyring: Keyring, why_not: Mapping[str, str]) -> "Site":
    # Imported here: Flask takes 0.2 s and 15 MB, which licences do not need.
    from rightsmanager.web.pages import Site  # noqa: PLC0415

    return Site(
        operations=OPERATIONS,
        why_not=why_not,
        samples=samples.exchanges,
        wsdl=wsdl.build_wsdl,
        explain=_make_explain(context, keyring),
        parameters=parameter_rows(),
        public_files=keyring.public_files,
    )


def _make_parts(
    settings: Settings, runtime: Runtime, server: Server, management: Management
) -> "Parts":
    from rightsmanager.web.console.composition import RunningServer, make_parts  # noqa: PLC0415

    return make_parts(
        RunningServer(
            settings=settings,
            origins=runtime.origins,
            management=management,
            describe=_make_describe(server.context, server.keyring),
            decode=_make_decode(server.context, server.keyring),
            journal=server.journal,
            recording=recorded_requests(settings, is_loopback=runtime.is_loopback),
            recorder=server.recorder,
            application=server.wsgi,
        )
    )


def _make_describe(context: Context, keyring: Keyring) -> "Describe":
    def describe_data(data: bytes, *, show_keys: bool = False) -> Description:
        given = replace(_inspection_context(context, keyring), show_keys=show_keys)
        return inspection.describe_anything(data, given)

    return describe_data


def _make_decode(context: Context, keyring: Keyring) -> Callable[[StoredEntry], Decoded]:
    defaults = _explain_defaults(context, keyring)
    return lambda stored: decode(stored, _inspection_context(context, keyring), defaults)


def _inspection_context(context: Context, keyring: Keyring) -> inspection.Context:
    def is_stored(kid: Kid) -> bool:
        try:
            with context.store.reading() as found:
                return found.content_keys.find(kid) is not None
        except StoreFailed:
            # The rest can be shown without the store.
            return False

    def is_revoked(digest: bytes) -> bool:
        try:
            return digest in context.revocations.find_revoked().digests
        except StoreFailed:
            return False

    return inspection.Context(
        now=context.clock(),
        backend=context.backend,
        trust_anchors=keyring.trust_anchors,
        server_keys=(*keyring.server_keys, keyring.metering.key),
        is_stored=is_stored,
        is_revoked=is_revoked,
    )


def make_pages(settings: Settings, contents: "Contents", access: Access) -> Wsgi:
    """Return the application of these pages, this console and this API."""
    from rightsmanager.web.api.application import build_api  # noqa: PLC0415
    from rightsmanager.web.application import build_application  # noqa: PLC0415
    from rightsmanager.web.console.routes import Console  # noqa: PLC0415

    seconds = float(settings.server.timeout_seconds)
    api = build_api(contents.api, access, seconds)
    console = Console(contents.console, access, log_failure, seconds) if access.is_on else None
    return build_application(contents.site, api, console, note=log_failure)


def make_access(settings: Settings, runtime: Runtime, management: Management) -> Access:
    """Return the rule for operators of a server."""
    return _make_access(_access_settings(settings, runtime), management)


def _make_access(settings: AccessSettings, management: Management) -> Access:
    # Another purpose than that of the storage key needs another key.
    secret = hmac.digest(management.keyring.storage_key, b"sessions of operators", "sha256")
    return Access(settings, management.tokens, secret, log_wrong_token)


def _make_api_parts(
    parts: "Parts", context: Context, worlds: "Worlds | None", given: Addressing
) -> "ApiParts":
    from rightsmanager.web.api.parts import ApiParts  # noqa: PLC0415 -- as above
    from rightsmanager.web.console.composition import record_by_texts  # noqa: PLC0415

    return ApiParts(
        management=parts.management,
        settings=parts.settings,
        describe=_make_describe(context, parts.management.keyring),
        explain=_make_explain(context, parts.management.keyring),
        journal=parts.journal,
        repeat=parts.repeat,
        record_act=record_by_texts(parts.record_act),
        worlds=worlds,
        addressing=given,
    )


def _explain_defaults(context: Context, keyring: Keyring) -> Defaults:
    given = context.options.defaults
    find_policies = partial(look_up_policies, context.store, given)
    return Defaults(given.policy, keyring.metering.mid, given.domain, given.rules, find_policies)


def _make_explain(context: Context, keyring: Keyring) -> Callable[..., Explanation]:
    defaults = _explain_defaults(context, keyring)

    def explain(*, asked: str, custom_data: str, kids: str, level: str) -> Explanation:
        return explain_form(
            asked=asked,
            custom_data=custom_data,
            kids=kids,
            level=level,
            defaults=defaults,
            now=context.clock(),
        )

    return explain
