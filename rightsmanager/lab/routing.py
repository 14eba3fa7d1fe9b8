"""The switch between worlds and the plain server: the paths below /w/NAME are a world's.

SCRIPT_NAME grows by /w/NAME, and the world's server sees the rest of the path. A world begins to
exist with its first request at a path of players or packagers.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from rightsmanager.admin.refusals import Conflict, NotFound
from rightsmanager.errors import InternalError, InvalidMessage, Refusal
from rightsmanager.lab.opened import OpenWorld, Wsgi
from rightsmanager.lab.worlds import Worlds, refuse_name
from rightsmanager.world_paths import split_path, world_path

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

_ATTEMPTS: Final = 20
"""The most removals in a row after which a request creates its world again."""
WORLD: Final = "rightsmanager.world"
"""The key of the open world in the environment of a request."""


@dataclass(frozen=True, slots=True)
class _Status:
    """The answer to a kind of refusal, as the API has it."""

    kinds: tuple[type[Refusal], ...]
    line: str
    code: str
    title: str


_STATUSES: Final = (
    # An invalid name is that of no world.
    _Status((NotFound, InvalidMessage), "404 Not Found", "not-found", "There is no such thing"),
    _Status((Conflict,), "409 Conflict", "conflict", "The present state does not allow this"),
    _Status((Refusal,), "500 Internal Server Error", "internal-error", "The server failed"),
)


@dataclass(frozen=True, slots=True)
class WorldRouter:
    """Answers every request of a server with worlds."""

    plain: Wsgi
    worlds: Worlds
    creates: Callable[[str], bool]
    """Returns whether the first request at a path of a world creates it."""
    note: Callable[[str, BaseException], None] = field(repr=False)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        found = split_path(environ["PATH_INFO"])
        if found is None:
            return self.plain(environ, start_response)
        name, rest = found
        try:
            world = self._enter(name, rest)
        except Refusal as refusal:
            return self._refuse(refusal, start_response)
        except OSError as error:
            # Such as a full disk.
            failure = InternalError(f"the world cannot be opened: {error.strerror}")
            failure.__cause__ = error
            return self._refuse(failure, start_response)
        try:
            environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + world_path(name)
            environ["PATH_INFO"] = rest
            environ[WORLD] = world
            return _answer(world, environ, start_response)
        finally:
            self.worlds.opened.leave(world)

    def _enter(self, name: str, rest: str) -> OpenWorld:
        refuse_name(name)
        for _ in range(_ATTEMPTS):
            try:
                return self.worlds.opened.enter(name)
            except NotFound:
                if not self.creates(rest):
                    raise
            self.worlds.ensure(name)
        raise InternalError(f"the world {name!r} is removed too often to be used")

    def _refuse(self, refusal: Refusal, start_response: StartResponse) -> Iterable[bytes]:
        if refusal.__cause__ is not None:
            self.note("a world", refusal.__cause__)
        status = next(each for each in _STATUSES if isinstance(refusal, each.kinds))
        facts = {
            "type": f"urn:rightsmanager:problem:{status.code}",
            "title": status.title,
            "status": int(status.line[:3]),
            "code": status.code,
            "detail": refusal.text,
            "errors": [],
        }
        body = json.dumps(facts).encode()
        start_response(
            status.line,
            [
                ("Content-Type", "application/problem+json"),
                ("Content-Length", str(len(body))),
                ("Cache-Control", "no-store"),
                ("X-Content-Type-Options", "nosniff"),
            ],
        )
        return [body]


def _answer(world: OpenWorld, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    random = world.random
    if random is None:
        return world.wsgi(environ, start_response)
    random.begin(environ)
    try:
        return world.wsgi(environ, start_response)
    finally:
        random.end()
