"""Reads settings from options, environment variables and TOML files, without knowing the settings.

Each source yields its values with their origin, so that an error can name the variable or the file.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from rightsmanager.errors import InternalError
from rightsmanager.files import is_file, read_file

PREFIX: Final = "RIGHTSMANAGER_"
FILE_VARIABLE: Final = "RIGHTSMANAGER_CONFIG"
DATA_VARIABLE: Final = "RIGHTSMANAGER_DATA"
PASSPHRASE_VARIABLE: Final = "RIGHTSMANAGER_PASSPHRASE"  # noqa: S105 -- a name
REFERENCE: Final = Path("config/rightsmanager.toml")
DATA_FILE: Final = "rightsmanager.toml"

# Kubernetes sets these in every pod of a namespace with a service named rightsmanager or
# rightsmanager-x, and Docker does for a linked container.
_INJECTED: Final = re.compile(
    r"RIGHTSMANAGER_(?:[A-Z0-9]+_)*?"
    r"(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9]+)*|PORT|NAME|ENV_[A-Z0-9_]+|"
    r"PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)

SettingPath = tuple[str, ...]
Renamed = Mapping[str, str]
"""Old names of settings and sections, and their new ones."""


@dataclass(frozen=True, slots=True)
class Given:
    """A value from one source."""

    path: SettingPath
    """The section and the name, in lower case."""
    value: object
    origin: str
    """The variable, the file, or `option`."""

    @property
    def name(self) -> str:
        """The setting's name, such as `server.workers`."""
        return ".".join(self.path)


def find_file(data: Path) -> Path | None:
    """Return the settings file in force, or None.

    It is the one that the environment names, else the data folder's, else the reference in the
    working directory, which is there in a checkout.
    """
    named = os.environ.get(FILE_VARIABLE)
    if named:
        return Path(named)
    return next(filter(is_file, (data / DATA_FILE, REFERENCE)), None)


def find_data() -> Path | None:
    """Return the data folder that the environment names, or None."""
    named = os.environ.get(DATA_VARIABLE)
    return Path(named) if named else None


def passphrase() -> bytes | None:
    """Return the passphrase of private keys from the environment, or None."""
    value = os.environ.get(PASSPHRASE_VARIABLE)
    return value.encode(errors="surrogateescape") if value else None


def read_options(options: Mapping[str, object]) -> Iterator[Given]:
    """Yield the values that a command's options give."""
    yield from _flatten((), options, "option")


def read_variables() -> Iterator[Given]:
    """Yield the values of the variables with the prefix; raises InternalError for invalid JSON."""
    for variable, text in os.environ.items():
        name = variable.upper()
        if not name.startswith(PREFIX) or name in {FILE_VARIABLE, PASSPHRASE_VARIABLE}:
            continue
        if _INJECTED.fullmatch(name):
            continue
        path = tuple(name.removeprefix(PREFIX).lower().split("__"))
        # A whole section as JSON.
        value = _parse_json(variable, text) if text.startswith("{") and len(path) == 1 else text
        yield from _flatten(path, value, variable)


def read_toml(file: Path) -> Iterator[Given]:
    """Yield the values of a settings file; raises InternalError, which names the file."""
    if not is_file(file):
        raise InternalError(f"the settings file {file} does not exist")
    try:
        tree = tomllib.loads(read_file(file).decode())
    except ValueError as error:
        raise InternalError(f"the settings file {file} cannot be read: {error}") from None
    yield from _flatten((), tree, str(file))


def rename(given: Iterable[Given], renamed: Renamed) -> Iterator[tuple[Given, str | None]]:
    """Yield the values under their new names, each with its old name if it was given by that.

    Those with an old name come first, so that one with the new name overrides it.
    """
    both = [(_rename(each, renamed), each.name) for each in given]
    both.sort(key=lambda pair: pair[0].name == pair[1])
    for each, old in both:
        yield each, None if each.name == old else old


def merge(given: Iterable[Given]) -> dict[str, object]:
    """Return the values as one tree; later ones override earlier ones."""
    tree: dict[str, object] = {}
    for each in given:
        *above, last = each.path
        node: object = tree
        for name in above:
            node = node.setdefault(name, {}) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node[last] = each.value
    return tree


def _rename(given: Given, renamed: Renamed) -> Given:
    for length in range(len(given.path), 0, -1):
        new = renamed.get(".".join(given.path[:length]))
        if new is not None:
            return replace(given, path=(*new.split("."), *given.path[length:]))
    return given


def _flatten(path: SettingPath, value: object, origin: str) -> Iterator[Given]:
    if isinstance(value, Mapping) and (value or not path):
        for name, each in value.items():
            yield from _flatten((*path, str(name)), each, origin)
    else:
        yield Given(path, value, origin)


def _parse_json(variable: str, text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        raise InternalError(f"settings: {variable} is not JSON, expected an object") from None
