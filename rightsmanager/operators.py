"""The composition of everything that operators see of a server.

Health and metrics, and the one application of the pages, the console and the management API.
"""

import hmac
import platform
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from rightsmanager import __version__, inspection
from rightsmanager.admin.management import Management, ManagementOptions
from rightsmanager.admin.royalty import Prices
from rightsmanager.assembly import (
    api_token,
    recorded_requests,
    served_roles,
)
from rightsmanager.errors import InternalError
from rightsmanager.inspection import Description
from rightsmanager.inspection.explanation import Defaults, Explanation, explain_form
from rightsmanager.inspection.reference import parameter_rows
from rightsmanager.journal.decoding import Decoded, decode
from rightsmanager.journal.journal import Journal
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
from rightsmanager.monitoring.paths import Answer, Expose, Refuse, monitoring_paths, refusal
from rightsmanager.operations.context import Context
from rightsmanager.operations.tracks import look_up_policies
from rightsmanager.protocol.messages.operations import OPERATIONS
from rightsmanager.protocol.wire import Kid
from rightsmanager.server import Runtime, Server, Wsgi
from rightsmanager.settings import Settings
from rightsmanager.soap import application, samples, wsdl
from rightsmanager.store.database import StoreFailed
from rightsmanager.store.journal.entries import StoredEntry
from rightsmanager.store.schema import find_database_file
from rightsmanager.web.access import Access, AccessMode, AccessSettings, Refused
from rightsmanager.web.http import Addressing

if TYPE_CHECKING:
    from rightsmanager.lab.worlds import Worlds
    from rightsmanager.web.api.parts import ApiParts, Describe
    from rightsmanager.web.application import Contents
    from rightsmanager.web.console.parts import Parts
    from rightsmanager.web.pages import Site


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


def make_operator_paths(
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
    roles = served_roles(settings)
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


def addressing(settings: Settings) -> Addressing:
    """Return the settings from which addresses follow."""
    return Addressing(settings.server.public_url, settings.server.trust_forwarded)
