"""The only import of spyne: makes 2.14.0 load on Python 3.11 to 3.13, without output and pauses.

    Python 3.12 dropped `find_module`, by which spyne's vendored six 1.14 offers `six.moves`, and
                3.11 warns at each import: a finder with `find_spec` on the same table replaces it
    Python 3.13 dropped `cgi`, and 3.11 warns of it: spyne needs only its `parse_header`, so a
                module with that function replaces it while spyne is imported
    its logger  prints malformed bodies and a traceback for each fault: silenced
    its context runs a full garbage collection each second: switched off
    its registry keeps the newest application, and formats the stack, which takes 2 ms: switched off

All other modules import spyne's parts from here.
"""

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.message import Message
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Any, Final

_MOVES: Final = "spyne.util.six.moves"


class MovesFinder:
    """Finds the modules of spyne's vendored `six.moves`."""

    @staticmethod
    def find_spec(
        fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a name in six's own table, None of any other name."""
        del path, target
        if fullname != _MOVES and not fullname.startswith(_MOVES + "."):
            return None
        table = sys.modules["spyne.util.six"]._importer.known_modules  # noqa: SLF001 -- see above
        return spec_from_loader(fullname, MovesLoader()) if fullname in table else None


class MovesLoader(Loader):
    """Loads the modules of MovesFinder."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module that six made for this name."""
        module: ModuleType = sys.modules["spyne.util.six"]._importer.load_module(spec.name)  # noqa: SLF001
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to run: six's modules are made, not read."""


def parse_header(line: str) -> tuple[str, dict[str, str]]:
    """Return the value and the parameters of a header such as Content-Type."""
    message = Message()
    message["content-type"] = line
    (value, _), *parameters = message.get_params() or [("", "")]
    return value, dict(parameters)


@contextmanager
def _loadable() -> Iterator[None]:
    sys.meta_path.append(MovesFinder)
    cgi = ModuleType("cgi")
    cgi.parse_header = parse_header  # type: ignore[attr-defined] # made here
    before = sys.modules.get("cgi")
    sys.modules["cgi"] = cgi
    try:
        with warnings.catch_warnings():
            # Warnings about idioms of older Pythons in spyne, which this project cannot change.
            warnings.simplefilter("ignore")
            yield
    finally:
        if before is None:
            del sys.modules["cgi"]
        else:
            sys.modules["cgi"] = before


def _drop_the_old_finder() -> None:
    finder = sys.modules["spyne.util.six"]._importer  # noqa: SLF001 -- it has no public name
    if finder in sys.meta_path:
        sys.meta_path.remove(finder)


with _loadable():
    import spyne.application
    import spyne.const
    from spyne import Application, Fault, InterfaceDocumentsBase, Service, rpc
    from spyne.model import AnyXml
    from spyne.protocol import InProtocolBase, OutProtocolBase
    from spyne.server.http import HttpMethodContext
    from spyne.server.wsgi import WsgiApplication

_drop_the_old_finder()
spyne.const.MIN_GC_INTERVAL = float("inf")
spyne.application.register_application = lambda _application: None
logging.getLogger("spyne").setLevel(logging.CRITICAL + 1)

SpyneContext = Any
"""The context of a call: spyne's MethodContext, which has no types."""

__all__ = [
    "AnyXml",
    "Application",
    "Fault",
    "HttpMethodContext",
    "InProtocolBase",
    "InterfaceDocumentsBase",
    "OutProtocolBase",
    "Service",
    "SpyneContext",
    "WsgiApplication",
    "rpc",
]
