"""A parameter for the version of a content header."""

from typing import Final

import click

from rightsmanager.protocol.formats.wrmheader import Version

_VERSIONS: Final = {
    spelling: version for version in Version for spelling in (version.value[:3], version.value)
}
"""Each version with and without its zeros."""


class VersionParameter(click.ParamType[Version]):
    """A version of a content header, in full or without its zeros."""

    name = "version"
    _spellings = click.Choice(list(_VERSIONS))

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Version:
        """Return the version; click lists the valid ones."""
        if isinstance(value, Version):
            return value
        return _VERSIONS[self._spellings.convert(value, param, ctx)]

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """Return the valid versions."""
        return self._spellings.get_metavar(param, ctx)
