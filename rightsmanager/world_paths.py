"""The paths of worlds: all below /w/NAME are those of one world."""

from typing import Final

_PREFIX: Final = "/w/"


def world_path(name: str) -> str:
    """Return the beginning of a world's paths, such as `/w/a`."""
    return f"{_PREFIX}{name}"


def split_path(path: str) -> tuple[str, str] | None:
    """Return the world's name and the path within it; None for a path of the plain server."""
    if not path.startswith(_PREFIX):
        return None
    name, _, rest = path.removeprefix(_PREFIX).partition("/")
    return name, f"/{rest}"
