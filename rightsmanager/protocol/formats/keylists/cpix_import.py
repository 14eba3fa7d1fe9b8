"""The one import of cpix: 1.4.1 made to load without setuptools.

It asks `pkg_resources` for its schema, and nothing else of it; newer setuptools have none, so a
module with that one function stands in while cpix is imported, and no longer.

Whatever else of this package needs cpix imports it from here.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any, Final

_NAME: Final = "pkg_resources"


class Resource(BytesIO):
    """A file's bytes with the file's name, by which lxml finds the schemas beside it."""

    def __init__(self, file: Path) -> None:
        super().__init__(file.read_bytes())
        self.name = str(file)


def resource_stream(package: str, name: str) -> Resource:
    """Return what a package has in a file of its own."""
    return Resource(Path(str(files(package).joinpath(name))))


@contextmanager
def _stand_in() -> Iterator[None]:
    module: Any = ModuleType(_NAME)
    module.resource_stream = resource_stream
    before = sys.modules.get(_NAME)
    sys.modules[_NAME] = module
    try:
        yield
    finally:
        if before is None:
            del sys.modules[_NAME]
        else:
            sys.modules[_NAME] = before


with _stand_in():
    import cpix

__all__ = ["cpix"]
