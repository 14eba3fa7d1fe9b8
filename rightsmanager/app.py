"""The composition root: the one place that knows every part and puts them together."""

import time
from collections.abc import Callable, Iterable
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
from rightsmanager.crypto import p256
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.random import Rng, system_random
from rightsmanager.hooks.calls import Hooks, notify_refusals
from rightsmanager.hooks.hook_set import load_hooks
from rightsmanager.inspection.explain import Defaults, Explanation, explain_form, parameter_rows
from rightsmanager.keyring import Keyring
from rightsmanager.logs import log_failure
from rightsmanager.operations.acknowledge_license import AcknowledgementService
from rightsmanager.operations.acquire_license import Clock, LicenseService
from rightsmanager.operations.delete_license import DeleteLicenseService
from rightsmanager.operations.domain import DomainService
from rightsmanager.operations.domain_authority import DomainAuthority
from rightsmanager.operations.domain_binding import DomainBinder
from rightsmanager.operations.metering import MeteringService
from rightsmanager.operations.metering_keys import MeteringKeys
from rightsmanager.operations.packaging import PackagingService
from rightsmanager.operations.revocation import RevocationCache
from rightsmanager.operations.secure_stop import SecureStopService
from rightsmanager.operations.secure_stop_keys import SecureStopKeys
from rightsmanager.operations.signing import Signing
from rightsmanager.protocol.formats.bcert import ChainVerifier
from rightsmanager.protocol.messages.challenge import ChallengeReader
from rightsmanager.protocol.wire import Mid
from rightsmanager.settings import Settings
from rightsmanager.soap import application, operations, samples, wsdl
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
    """What a run is given from outside, so that it can be repeated."""

    clock: Clock = field(default=lambda: int(time.time()))
    rng: Rng = system_random
    passphrase: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Server:
    """A server put together."""

    wsgi: Wsgi
    store: Store
    keyring: Keyring
    services: dict[str, application.ServiceOperation]


@dataclass(frozen=True, slots=True)
class _Components:
    """What several services are made of."""

    settings: Settings
    runtime: Runtime
    keyring: Keyring
    store: Store
    revocations: RevocationCache
    backend: p256.Backend
    verifier: ChainVerifier
    signing: Signing
    authority: DomainAuthority
    metering_keys: MeteringKeys
    secure_stop_keys: SecureStopKeys
    hooks: Hooks

    @property
    def usual(self) -> dict[str, Any]:
        """What every service that opens challenges is given."""
        return {
            "verifier": self.verifier,
            "store": self.store,
            "revocations": self.revocations,
            "backend": self.backend,
            "clock": self.runtime.clock,
            "hooks": self.hooks,
        }


def build(settings: Settings, runtime: Runtime) -> Server:
    """Return the server that the settings describe; raises InternalError where it cannot be."""
    parts = _parts(settings, runtime)
    services = {
        name: notify_refusals(name, answer, parts.hooks) for name, answer in _answers(parts).items()
    }
    administration = DomainAdministration(parts.store, parts.authority, runtime.clock)
    front = _front(
        settings,
        services,
        runtime.clock,
        parts.keyring.metering.mid,
        _admin(settings, administration),
    )
    return Server(front, parts.store, parts.keyring, services)


def _parts(settings: Settings, runtime: Runtime) -> _Components:
    keyring = open_keyring(settings, runtime.passphrase)
    store = open_store(settings)
    refuse_other_keyring(store, keyring)
    # Workers are forked from here, and open connections of their own.
    store.close()
    return _Components(
        settings=settings,
        runtime=runtime,
        keyring=keyring,
        store=store,
        revocations=RevocationCache(store),
        backend=choose_backend(settings.crypto.backend),
        verifier=ChainVerifier(keyring.trust_anchors, settings.crypto.chain_cache),
        signing=Signing(
            keyring.signing_key, keyring.signing_chain.raw, settings.license.sign == "always"
        ),
        authority=domain_authority(settings, keyring, runtime.rng),
        metering_keys=MeteringKeys(keyring.metering, keyring.storage_key, store),
        secure_stop_keys=SecureStopKeys(keyring.secure_stop_secret),
        hooks=Hooks(
            load_hooks(settings.hooks.make, {"data": str(settings.data), **settings.hooks.options}),
            settings.hooks.timeout_seconds,
            log_failure,
        ),
    )


def _answers(parts: _Components) -> dict[str, application.ServiceOperation]:
    acknowledgement = AcknowledgementService(
        server_keys=parts.keyring.server_keys, signing=parts.signing, **parts.usual
    )
    metering, domain = _metering_service(parts), _domain_service(parts)
    return {
        "AcquireLicense": _license_service(parts).acquire_license,
        "AcknowledgeLicense": acknowledgement.acknowledge_license,
        "AcquirePackagingData": _packaging_service(parts).acquire_packaging_data,
        "GetMeteringCertificate": metering.get_metering_certificate,
        "JoinDomain": domain.join_domain,
        "LeaveDomain": domain.leave_domain,
        "ProcessMeteringData": metering.process_metering_data,
        "ProcessSecureStopData": _secure_stop_service(parts).process_secure_stop_data,
        "ProcessDeleteLicenseData": _delete_license_service(parts).process_delete_license_data,
    }


def _license_service(parts: _Components) -> LicenseService:
    settings, verifier, terms = parts.settings, parts.verifier, parts.authority.terms
    return LicenseService(
        server_keys=parts.keyring.server_keys,
        signing=parts.signing,
        reader=ChallengeReader(verifier.parse, settings.crypto.chain_cache),
        content_keys=content_keys(settings, parts.keyring),
        domains=DomainBinder(terms, verifier.parse),
        defaults=license_defaults(settings),
        own_mid=parts.keyring.metering.mid,
        rng=parts.runtime.rng,
        secure_stop_keys=parts.secure_stop_keys,
        streams=stream_settings(settings),
        acknowledge_persistent=settings.license.acknowledge == "persistent",
        **parts.usual,
    )


def _packaging_service(parts: _Components) -> PackagingService:
    return PackagingService(
        access=packaging_access(parts.settings),
        content_keys=content_keys(parts.settings, parts.keyring),
        packing=packaging_options(parts.settings),
        store=parts.store,
        clock=parts.runtime.clock,
        rng=parts.runtime.rng,
        hooks=parts.hooks,
    )


def _metering_service(parts: _Components) -> MeteringService:
    metering = parts.settings.metering
    return MeteringService(
        server_keys=parts.keyring.server_keys,
        metering_keys=parts.metering_keys,
        signing=parts.signing,
        max_records=metering.max_records,
        keep_reports=metering.keep_reports_days > 0,
        **parts.usual,
    )


def _domain_service(parts: _Components) -> DomainService:
    return DomainService(
        server_keys=parts.keyring.server_keys,
        signing=parts.signing,
        authority=parts.authority,
        rng=parts.runtime.rng,
        **parts.usual,
    )


def _secure_stop_service(parts: _Components) -> SecureStopService:
    return SecureStopService(
        keys=parts.metering_keys.by_name,
        secure_stop_keys=parts.secure_stop_keys,
        signing=parts.signing,
        max_sessions=parts.settings.secure_stop.max_sessions,
        **parts.usual,
    )


def _delete_license_service(parts: _Components) -> DeleteLicenseService:
    return DeleteLicenseService(
        server_keys=parts.keyring.server_keys,
        max_kids=parts.settings.secure_delete.max_kids,
        **parts.usual,
    )


def _front(
    settings: Settings,
    services: dict[str, application.ServiceOperation],
    clock: Clock,
    own_mid: Mid,
    admin: Wsgi | None,
) -> Router:
    server = settings.server
    roles = frozenset(operations.Role(role) for role in server.roles)
    pages = HelpPages(
        Service(
            operations=operations.OPERATIONS.values(),
            why_not={
                name: application.why_not(operation, services, roles)
                for name, operation in operations.OPERATIONS.items()
            },
            samples=samples.exchanges,
            wsdl=wsdl.build_wsdl,
            home=HOME,
            guides=_explain_pages(settings, clock, own_mid).guides(),
        )
    )
    front = RouterSettings(
        addressing=Addressing(server.public_url, server.trust_forwarded),
        cross_origin=CrossOrigin(
            server.cors_origins, server.cors_max_age_seconds, server.cors_credentials
        ),
        body_limit=server.max_body,
        body_limits=_body_limits(settings),
        body_patience=float(server.timeout_seconds),
    )
    return Router(SoapServer(application.build(services, roles)), pages, front, admin)


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


def _explain_pages(settings: Settings, clock: Clock, own_mid: Mid) -> ExplainPages:
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
