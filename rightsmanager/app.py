"""The composition root: the one place that knows every part and puts them together."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rightsmanager.admin.domains import DomainAdministration
from rightsmanager.assembly import (
    admin_token,
    content_keys,
    domain_authority,
    license_defaults,
    open_keyring,
    open_store,
    packaging_access,
    packaging_options,
    refuse_other_keyring,
    stream_settings,
)
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.random import Rng, system_random
from rightsmanager.hooks.calls import Hooks
from rightsmanager.hooks.hook_set import load_hooks
from rightsmanager.inspection.explain import Defaults, Explanation, explain_form, parameter_rows
from rightsmanager.keyring import Keyring
from rightsmanager.logs import log_failure
from rightsmanager.operations.context import Context, Options, Signing
from rightsmanager.operations.metering_keys import MeteringKeys
from rightsmanager.operations.revocation import RevocationCache
from rightsmanager.operations.secure_stop_keys import SecureStopKeys
from rightsmanager.operations.table import bind_operations
from rightsmanager.protocol.formats.bcert import ChainVerifier
from rightsmanager.protocol.messages.challenge import ChallengeReader
from rightsmanager.protocol.messages.operations import OPERATIONS, Role
from rightsmanager.protocol.wire import Mid
from rightsmanager.settings import Settings
from rightsmanager.soap import application, samples, wsdl
from rightsmanager.soap.application import ServiceOperation
from rightsmanager.soap.server import SoapServer
from rightsmanager.store.database import Store
from rightsmanager.web.address import Addressing
from rightsmanager.web.bearer_auth import AdminSettings, BearerAuth
from rightsmanager.web.cors import CrossOrigin
from rightsmanager.web.explain_pages import ExplainPages
from rightsmanager.web.help import HelpPages, Service
from rightsmanager.web.router import Router, RouterSettings

HOME = "/rightsmanager.asmx"
"""The path that pages link to; the service is at any path that ends like it."""

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Runtime:
    """The clock, the randomness and the passphrase of a run."""

    clock: Callable[[], int] = field(default=lambda: int(time.time()))
    rng: Rng = system_random
    passphrase: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Server:
    """An assembled server."""

    wsgi: Wsgi
    context: Context
    keyring: Keyring
    operations: Mapping[str, ServiceOperation]

    @property
    def store(self) -> Store:
        """The store of its operations."""
        return self.context.store


def build(settings: Settings, runtime: Runtime) -> Server:
    """Return the server that the settings describe; raises InternalError for invalid settings."""
    keyring = open_keyring(settings, runtime.passphrase)
    context = build_context(settings, runtime, keyring)
    operations = bind_operations(context)
    administration = DomainAdministration(context.store, context.domains, runtime.clock)
    router = _router(
        settings,
        operations,
        runtime.clock,
        keyring.metering.mid,
        _admin(settings, administration),
    )
    return Server(router, context, keyring, operations)


def build_context(settings: Settings, runtime: Runtime, keyring: Keyring) -> Context:
    """Return the context of the operations; its store opens connections when it is used."""
    store = open_store(settings)
    refuse_other_keyring(store, keyring)
    # Workers are forked from here, and open connections of their own.
    store.close()
    verifier = ChainVerifier(keyring.trust_anchors, settings.crypto.chain_cache)
    return Context(
        server_keys=keyring.server_keys,
        signing=Signing(
            keyring.signing_key, keyring.signing_chain.raw, settings.license.sign == "always"
        ),
        verifier=verifier,
        reader=ChallengeReader(verifier.parse, settings.crypto.chain_cache),
        store=store,
        revocations=RevocationCache(store),
        content_keys=content_keys(settings, keyring),
        metering_keys=MeteringKeys(keyring.metering, keyring.storage_key, store),
        secure_stop_keys=SecureStopKeys(keyring.secure_stop_secret),
        domains=domain_authority(settings, keyring, runtime.rng),
        hooks=_hooks(settings),
        backend=choose_backend(settings.crypto.backend),
        clock=runtime.clock,
        rng=runtime.rng,
        options=_options(settings),
    )


def _hooks(settings: Settings) -> Hooks:
    options = {"data": str(settings.data), **settings.hooks.options}
    hook_set = load_hooks(settings.hooks.make, options)
    return Hooks(hook_set, settings.hooks.timeout_seconds, log_failure)


def _options(settings: Settings) -> Options:
    return Options(
        defaults=license_defaults(settings),
        acknowledge_persistent=settings.license.acknowledge == "persistent",
        streams=stream_settings(settings),
        max_records=settings.metering.max_records,
        keep_reports=settings.metering.keep_reports_days > 0,
        max_sessions=settings.secure_stop.max_sessions,
        max_deleted_kids=settings.secure_delete.max_kids,
        packaging=packaging_options(settings),
        packaging_access=packaging_access(settings),
    )


def _router(
    settings: Settings,
    services: Mapping[str, ServiceOperation],
    clock: Callable[[], int],
    own_mid: Mid,
    admin: Wsgi | None,
) -> Router:
    server = settings.server
    roles = frozenset(Role(role) for role in server.roles)
    pages = HelpPages(
        Service(
            operations=OPERATIONS.values(),
            why_not={
                name: application.why_not(operation, services, roles)
                for name, operation in OPERATIONS.items()
            },
            samples=samples.exchanges,
            wsdl=wsdl.build_wsdl,
            home=HOME,
            guides=_explain_pages(settings, clock, own_mid).guides(),
        )
    )
    options = RouterSettings(
        addressing=Addressing(server.public_url, server.trust_forwarded),
        cross_origin=CrossOrigin(
            server.cors_origins, server.cors_max_age_seconds, server.cors_credentials
        ),
        body_limit=server.max_body,
        body_limits=_body_limits(settings),
        body_patience=float(server.timeout_seconds),
    )
    return Router(SoapServer(application.build(services, roles)), pages, options, admin)


def _body_limits(settings: Settings) -> dict[str, int]:
    longest = max(settings.server.max_body, settings.metering.max_body)
    return {"ProcessMeteringData": longest}


def _admin(settings: Settings, administration: DomainAdministration) -> Wsgi | None:
    """Return the admin API, None where it is switched off; raises InternalError without a token."""
    if not settings.admin.is_on:
        return None
    # Only here: what it needs is as large as all the rest.
    from rightsmanager.web.api import build_api  # noqa: PLC0415

    path = settings.admin.path
    door = AdminSettings(path, admin_token(settings), float(settings.server.timeout_seconds))
    return BearerAuth(build_api(administration, path, log_failure), door)


def _explain_pages(settings: Settings, clock: Callable[[], int], own_mid: Mid) -> ExplainPages:
    given = license_defaults(settings)
    defaults = Defaults(given.policy, own_mid, given.domain, given.rules)

    def explain(*, asked: str, custom_data: str, kids: str, level: str) -> Explanation:
        return explain_form(
            asked=asked,
            custom_data=custom_data,
            kids=kids,
            level=level,
            defaults=defaults,
            now=clock(),
        )

    return ExplainPages(explain, parameter_rows(), HOME)
