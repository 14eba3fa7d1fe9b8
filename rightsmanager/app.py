"""The composition root: the one place that knows every part and puts them together.

`server` has the values that it makes, `operators` puts together what operators see, and `worlds`
the servers of `--lab`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from rightsmanager.assembly import (
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
    refuse_other_keyring,
    replay_window,
    served_roles,
    stream_settings,
)
from rightsmanager.crypto.p256 import Backend
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.random import system_random
from rightsmanager.errors import InternalError
from rightsmanager.hooks.calls import Hooks
from rightsmanager.hooks.exchange import Exchange, Observer
from rightsmanager.hooks.hook_set import HookSet, load_hooks
from rightsmanager.keyring import Keyring
from rightsmanager.logs import log_failure
from rightsmanager.monitoring.layout import DATABASE_CELLS
from rightsmanager.monitoring.refusals import count_refusals
from rightsmanager.monitoring.request_counter import RequestCounter
from rightsmanager.operations.context import Context, Options, RevocationCache, Signing, unix_time
from rightsmanager.operations.metering_keys import MeteringKeys
from rightsmanager.operations.secure_stop_keys import SecureStopKeys
from rightsmanager.operations.table import bind_operations
from rightsmanager.operators import addressing, make_operator_paths, make_server_pages
from rightsmanager.protocol.formats.bcert import ChainVerifier
from rightsmanager.protocol.messages.challenge import ChallengeReader
from rightsmanager.protocol.messages.operations import Role
from rightsmanager.server import Runtime, Server, Wsgi
from rightsmanager.settings import Settings
from rightsmanager.soap import application
from rightsmanager.soap.incidents import Incidents
from rightsmanager.soap.server import SoapServer
from rightsmanager.store.database import Store
from rightsmanager.web.http import make_cross_origin
from rightsmanager.web.keys.endpoint import Bounds, KeyEndpoint, takes
from rightsmanager.web.router import Router, RouterSettings

if TYPE_CHECKING:
    from rightsmanager.worlds import Lab


def build(settings: Settings, runtime: Runtime) -> Server:
    """Return the server that the settings describe; raises InternalError for invalid settings."""
    keyring = open_keyring(settings, runtime.passphrase)
    context = build_context(settings, runtime, keyring)
    operations = bind_operations(context)

    def make_pages() -> Wsgi:
        worlds = None if lab is None else lab.worlds
        pages = make_server_pages(settings, runtime, server, worlds)
        is_counted = settings.metrics.access != "off"
        return count_refusals(pages, runtime.cells) if is_counted else pages

    recorder = make_recorder(settings, log_failure, is_loopback=runtime.is_loopback)
    journal = open_journal(settings)
    shared = _observers(settings, runtime, context)
    observers: list[Observer] = [*shared, *([] if recorder is None else [recorder])]
    soap = SoapServer(application.build(operations, served_roles(settings)), observers)
    paths = make_operator_paths(settings, runtime, context, keyring, journal)
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
        hooks=_hooks(settings, runtime),
        backend=readers.backend,
        clock=runtime.clock,
        rng=runtime.rng,
        options=_options(settings, runtime),
    )


def _hooks(settings: Settings, runtime: Runtime) -> Hooks:
    options = {"data": str(settings.data), **settings.hooks.options}
    others = [_backend_hooks(settings, runtime)] if settings.hooks.url else []
    hook_set = load_hooks(settings.hooks.make, options, *others)
    return Hooks(hook_set, settings.hooks.timeout_seconds, log_failure)


def hooks_secret_file(settings: Settings) -> Path:
    """Return the file of the secret that the server shares with the back end of hooks."""
    return Path(settings.hooks.secret_file or settings.data / "keyring" / "hooks.secret")


def _backend_hooks(settings: Settings, runtime: Runtime) -> HookSet:
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
    back_end = BackEnd(options, system_random, unix_time, count=runtime.cells.count_hook_call)
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
    is_packaging = Role.PACKAGING in served_roles(settings)
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
    incidents = Incidents()

    def note(what: str, error: BaseException) -> None:
        incidents.note(error, what=what)

    return KeyEndpoint(context, addressing(settings), bounds, note, observers)


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
            "run pip install '.[otel]' in the checkout"
        ) from None

    @cache
    def make() -> SpanMaker:
        # With the first request: its thread must not begin before the workers are forked.
        return SpanMaker(make_provider())

    def observe(exchange: Exchange) -> None:
        make()(exchange)

    return observe
