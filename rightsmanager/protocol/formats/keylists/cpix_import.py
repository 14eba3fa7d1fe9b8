"""Imports cpix 1.4.1 without setuptools; the rest of the package imports it from here.

cpix uses one function of `pkg_resources`, to read its schema; newer setuptools lack that module. A
module with that function replaces it during the import.
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
    """The bytes of a file with its name, so that lxml finds the schemas in the same folder."""

    def __init__(self, file: Path) -> None:
        super().__init__(file.read_bytes())
        self.name = str(file)


def resource_stream(package: str, name: str) -> Resource:
    """Return a file of a package."""
    return Resource(Path(str(files(package).joinpath(name))))


@contextmanager
def _replaced_module() -> Iterator[None]:
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


with _replaced_module():
    import cpix

__all__ = ["cpix"]
