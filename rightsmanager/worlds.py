"""Puts worlds together: the server of each, and what they share.

A world is built like the plain server, over its own store, clock and randomness. All worlds of a
process share the keyring with its caches, the writer of their journals, and one application of the
pages, whose parts are looked up for each request.
"""

import resource
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rightsmanager.app import (
    Readers,
    hooks_secret_file,
    make_context,
    make_readers,
    router_settings,
)
from rightsmanager.assembly import open_keyring, recorder_options, served_roles
from rightsmanager.hooks.exchange import Observer
from rightsmanager.journal.journal import Journal, counts_folder
from rightsmanager.journal.shared import SharedRecorder, SharedWriter
from rightsmanager.keyring import Keyring, create, rng_for
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.lab.control import Overrides
from rightsmanager.lab.faults.fault import Fault
from rightsmanager.lab.faults.injection import Injector
from rightsmanager.lab.folders import Folders
from rightsmanager.lab.opened import OpenWorlds, Plan
from rightsmanager.lab.routing import WORLD, WorldRouter
from rightsmanager.lab.schema_storage import SchemaStorage
from rightsmanager.lab.storage import SqliteStorage, Storage
from rightsmanager.lab.sweeper import Sweeper
from rightsmanager.lab.worlds import Limits, Worlds
from rightsmanager.logs import log_failure
from rightsmanager.operations.table import bind_operations
from rightsmanager.operators import make_access, make_contents, make_pages
from rightsmanager.server import Runtime, Server, Wsgi
from rightsmanager.settings import HooksSettings, Settings
from rightsmanager.settings_loading import override
from rightsmanager.soap import application
from rightsmanager.soap.server import SoapServer
from rightsmanager.store.database import Store
from rightsmanager.store.schema import newest_revision
from rightsmanager.web.keys.endpoint import takes
from rightsmanager.web.router import ASMX_PATH, Router, public_url_of_world

if TYPE_CHECKING:
    from rightsmanager.web.api.parts import ApiParts
    from rightsmanager.web.application import Contents

FOLDER: Final = "worlds"
_MIN_FILES: Final = 65_536
"""The number of open files that the process may have, if the system allows it."""


@dataclass(frozen=True, slots=True)
class Lab:
    """The worlds of a server, and the application that answers for them and for the server."""

    wsgi: Wsgi
    worlds: Worlds


@dataclass(frozen=True, slots=True)
class Shared:
    """Everything that the worlds of a process share."""

    settings: Settings
    runtime: Runtime
    keyring: Keyring
    readers: Readers
    observers: Sequence[Observer]
    writer: SharedWriter
    pages: Wsgi


@dataclass(frozen=True)
class BuiltWorld:
    """The server of one world."""

    settings: Settings
    runtime: Runtime
    server: Server
    recorder: SharedRecorder = field(repr=False)
    injector: Injector = field(repr=False)

    @property
    def wsgi(self) -> Wsgi:
        """Answers requests."""
        return self.server.wsgi

    def with_faults(self, faults: Sequence[Fault]) -> Wsgi:
        """Return an application that answers requests with faults."""
        return partial(self.injector.serve, faults, self.server.wsgi)

    @property
    def store(self) -> Store:
        """The store of its operations."""
        return self.server.store

    @property
    def writer(self) -> SharedWriter:
        """The writer of its journal, and of those of all worlds of the process."""
        return self.recorder.writer

    @property
    def journal(self) -> Journal:
        """The journal, for readers."""
        return self.server.journal

    @cached_property
    def contents(self) -> "Contents":
        """The contents of its pages, its console and its API."""
        return make_contents(self.settings, self.runtime, self.server)

    def end(self, *, is_discarded: bool) -> None:
        """Begin to close the journal; `is_discarded` if it will not be read again."""
        self.recorder.end(is_discarded=is_discarded)

    def close(self) -> None:
        """Close the store and the journal."""
        self.recorder.close()
        self.server.store.close()


def make_lab(
    settings: Settings, runtime: Runtime, server: Server, observers: Sequence[Observer]
) -> Lab:
    """Return the worlds of a server; observers: those of all exchanges."""
    _allow_files()
    folders = Folders(settings.data.absolute() / FOLDER)
    storage = make_storage(settings, folders)
    context = server.context
    shared = Shared(
        settings=settings,
        runtime=runtime,
        keyring=server.keyring,
        readers=Readers(context.verifier, context.reader, context.backend),
        observers=observers,
        writer=SharedWriter(storage.max_open_journals),
        pages=_shared_pages(settings, runtime, server),
    )
    revision = newest_revision()
    opened = OpenWorlds(
        folders, storage, lambda plan: build_world(shared, plan), revision, settings.lab.max_open
    )
    limits = Limits(
        settings.lab.max_worlds, settings.lab.idle_seconds, settings.lab.expires_after_seconds
    )
    worlds = Worlds(folders, storage, opened, limits, partial(_refuse, settings), revision)
    sweeper = Sweeper(worlds, log_failure)
    opened.on_opened, opened.on_retired = sweeper.start, sweeper.wake
    return Lab(WorldRouter(server.wsgi, worlds, _creates, log_failure), worlds)


def make_storage(settings: Settings, folders: Folders) -> Storage:
    """Return the storage of worlds, of the kind of the server's own database."""
    url, seconds = settings.effective_database_url, settings.database_seconds
    if url.startswith("sqlite"):
        return SqliteStorage(folders.templates / newest_revision(), seconds)
    return SchemaStorage(url, folders.root / ".schemas" / newest_revision(), seconds)


def build_world(shared: Shared, plan: Plan) -> BuiltWorld:
    """Return the server of a world."""
    settings = _world_settings(shared.settings, plan)
    runtime = replace(shared.runtime, clock=plan.clock, rng=plan.rng)
    keyring, readers = shared.keyring, shared.readers
    if plan.control.options.pki == "own":
        keyring = _own_keyring(settings, runtime, plan)
        readers = make_readers(settings, keyring)
    context = make_context(settings, runtime, keyring, plan.stored.store, readers)
    injector = Injector(plan.place, KeyFiles(settings.data, runtime.passphrase))
    operations = injector.wrap_operations(context, bind_operations(context))
    journal = plan.stored.journal
    recorder = SharedRecorder(
        journal.database,
        recorder_options(settings, counts_folder(plan.place)),
        partial(_note_of_world, plan.place),
        shared.writer,
        plan.clock.seconds,
    )
    observers: list[Observer] = [*shared.observers, recorder]
    soap = SoapServer(application.build(operations, served_roles(settings)), observers)
    router = Router(soap, lambda: shared.pages, router_settings(settings, context, {}, observers))
    server = Server(router, context, keyring, operations, journal, recorder)
    return BuiltWorld(settings, runtime, server, recorder, injector)


def _note_of_world(place: Path, what: str, error: BaseException) -> None:
    """Log that entries cannot be written, unless another worker has removed the world."""
    if place.exists():
        log_failure(what, error)


def _world_settings(settings: Settings, plan: Plan) -> Settings:
    """Return the settings of a world's server."""
    options = plan.control.options
    changed = override(settings, options.settings)
    url = public_url_of_world(settings.server.public_url, plan.name)
    return changed.model_copy(
        update={
            "data": plan.folder.path if options.pki == "own" else settings.data,
            "server": settings.server.model_copy(update={"public_url": url}),
            "hooks": _world_hooks(settings, changed.hooks),
            # The clock may be set to any time.
            "journal": settings.journal.model_copy(update={"record": "all", "max_age_days": 0}),
        }
    )


def _world_hooks(settings: Settings, changed: HooksSettings) -> HooksSettings:
    """Return the settings of a world's hooks, whose secrets are in the server's data folder."""
    return changed.model_copy(
        update={
            "secret_file": str(hooks_secret_file(settings)),
            "options": {"data": str(settings.data), **changed.options},
        }
    )


def _own_keyring(settings: Settings, runtime: Runtime, plan: Plan) -> Keyring:
    """Return the keyring of a world with a PKI of its own, which is made if it is missing."""
    seed = plan.control.options.seed
    rng = rng_for(None if seed is None else f"world {seed}")
    create(KeyFiles(settings.data, runtime.passphrase), rng, settings.effective_metering_url)
    own = settings.model_copy(update={"keyring": type(settings.keyring)()})
    return open_keyring(own, runtime.passphrase)


def _refuse(settings: Settings, changes: Overrides) -> None:
    override(settings, changes)


def _creates(path: str) -> bool:
    return path.lower().endswith(ASMX_PATH[1:]) or takes(path)


def _shared_pages(settings: Settings, runtime: Runtime, server: Server) -> Wsgi:
    """Return the application of the pages of all worlds, which is made at its first request."""

    @cache
    def make() -> Wsgi:
        # Imported here: Flask takes 0.2 s and 15 MB, which licences do not need.
        from rightsmanager.web.current import find_in_request  # noqa: PLC0415

        current: Contents = find_in_request(lambda environ: environ[WORLD].server.contents)
        own = make_contents(settings, runtime, server)
        contents = replace(
            own,
            site=replace(
                own.site, explain=current.site.explain, public_files=current.site.public_files
            ),
            console=current.console,
            api=_current_api(own.api, current.api),
        )
        # Who may use the server's API and console may use those of its worlds.
        return make_pages(
            settings, contents, make_access(settings, runtime, own.console.management)
        )

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return make()(environ, start_response)

    return answer


def _current_api(own: "ApiParts", current: "ApiParts") -> "ApiParts":
    """Return the parts of the API that are looked up for each request; a world has no worlds."""
    return replace(
        own,
        management=current.management,
        settings=current.settings,
        describe=current.describe,
        explain=current.explain,
        journal=current.journal,
        repeat=current.repeat,
        record_act=current.record_act,
    )


def _allow_files() -> None:
    """Raise the process's own limit of open files, of which each open world has some."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _MIN_FILES:
        with suppress(ValueError, OSError):
            wanted = _MIN_FILES if hard == resource.RLIM_INFINITY else min(hard, _MIN_FILES)
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
