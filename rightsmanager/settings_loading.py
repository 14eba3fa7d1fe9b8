"""Loads settings from their sources, and tells where each value comes from.

A setting comes from a command's option, else from the environment (`RIGHTSMANAGER_` and the name,
with two underscores after the section's name, such as `RIGHTSMANAGER_SERVER__WORKERS`), else from
the file, else from its default.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from rightsmanager.environment import (
    Given,
    find_data,
    find_file,
    merge,
    read_options,
    read_toml,
    read_variables,
    rename,
)
from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.settings import Section, Settings

RENAMED: Final = {
    "admin.token": "api.token",
    "admin.token_file": "api.token_file",
    "seam.seconds": "hooks.timeout_seconds",
    "seam": "hooks",
    "server.timeout": "server.timeout_seconds",
    "server.keepalive": "server.keepalive_seconds",
    "server.cors_max_age": "server.cors_max_age_seconds",
    "policy.valid_for": "policy.valid_for_seconds",
    "packaging.key_period": "packaging.key_period_seconds",
    "metering.keep_reports": "metering.keep_reports_days",
    "domain.limit": "domain.max_members",
    "streams.per_account": "streams.max_per_account",
    "streams.per_device": "streams.max_per_device",
    "streams.lifetime": "streams.lifetime_seconds",
}
"""The old names of settings and sections, which still work in version 0.1 with a warning."""
REMOVED: Final = {"admin.path": "the API is at /api/v1"}
"""Settings that had their last version, and the reason; in version 0.1 they cause a warning."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, the origins of their values, and the warnings about old names."""

    settings: Settings
    origins: Mapping[str, str]
    """The variable or the file of each setting that is not at its default."""
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SettingInForce:
    """One setting as it is in force."""

    name: str
    value: object
    """As in JSON; tokens are masked."""
    origin: str | None
    """The variable, option or file that it comes from; None for a default."""
    is_secret: bool
    """Whether pages hide the value."""


def settings_in_force(settings: Settings, origins: Mapping[str, str]) -> tuple[SettingInForce, ...]:
    """Return every setting, those without a section first."""
    return tuple(
        SettingInForce(name, value, origins.get(name), bool(value) and _is_secret(name))
        for name, value in _named_values(settings)
    )


def _named_values(settings: Settings) -> Iterator[tuple[str, object]]:
    tree = settings.model_dump(mode="json", exclude_none=True)
    for name, value in tree.items():
        if not isinstance(value, dict):
            yield name, value
    for section, values in tree.items():
        if isinstance(values, dict):
            # A table within a section ends it, so that it comes last.
            plain = {name: each for name, each in values.items() if not isinstance(each, dict)}
            yield from ((f"{section}.{name}", each) for name, each in plain.items())
            for name in (name for name in values if name not in plain):
                yield from ((f"{section}.{name}.{key}", each) for key, each in values[name].items())


def _is_secret(name: str) -> bool:
    # A URL of a database may have a password, and an option of a hook may be one.
    secrets = {"database_url", "license.key_seed", "api.token", "packaging.token"}
    return name in secrets or name.startswith("hooks.options.")


WORLD_SECTIONS: Final = frozenset(
    {"license", "policy", "domain", "metering", "secure_stop", "secure_delete", "streams", "hooks"}
)
"""The sections that a world may have other values of."""


def override(settings: Settings, changes: Mapping[str, Mapping[str, object]]) -> Settings:
    """Return the settings with others by section and name, which a world has of its own.

    Raises InvalidMessage, which names the setting and what was expected.
    """
    for section in changes:
        if section not in WORLD_SECTIONS:
            raise InvalidMessage(
                f"settings: {section} cannot be changed for a world, expected one of "
                f"{', '.join(sorted(WORLD_SECTIONS))}"
            )
    _refuse_hooks(settings, changes.get("hooks", {}))
    replaced: dict[str, object] = {}
    try:
        for name, values in changes.items():
            section = getattr(settings, name)
            replaced[name] = type(section).model_validate({**section.model_dump(), **values})
    except ValidationError as error:
        raise InvalidMessage(_explain(error, {}, name)) from None
    return settings.model_copy(update=replaced)


def _refuse_hooks(settings: Settings, changes: Mapping[str, object]) -> None:
    # A client that may make worlds must choose neither the code that runs nor other servers.
    for name, value in changes.items():
        if value not in ("", getattr(settings.hooks, name, "")):
            raise InvalidMessage(
                f"settings: hooks.{name} is changed for a world, expected the server's or nothing"
            )


def load(file: Path | None, **overrides: Any) -> Settings:  # noqa: ANN401 -- any field of Settings
    """Return the settings from overrides, the environment and a file, in that order.

    Raises InternalError, which names the setting, its origin and what was expected.
    """
    return load_with_origins(file, **overrides).settings


def load_with_origins(
    file: Path | None,
    **overrides: Any,  # noqa: ANN401 -- as above
) -> Loaded:
    """Return the settings like `load`, with the origins of the values; raises InternalError."""
    sources: list[Iterable[Given]] = [read_variables(), read_options(overrides)]
    if file is not None:
        sources.insert(0, read_toml(file))
    given: list[Given] = []
    warnings: list[str] = []
    for source in sources:
        for each, old in rename(source, RENAMED):
            if each.name in REMOVED:
                warnings.append(
                    f"{each.origin}: the setting {old or each.name} is gone: {REMOVED[each.name]}"
                )
                continue
            given.append(each)
            if old is not None:
                warnings.append(f"{each.origin}: the setting {old} is now called {each.name}")
    origins = {each.name: each.origin for each in given}
    try:
        settings = Settings.model_validate(merge(given))
    except ValidationError as error:
        raise InternalError(_explain(error, origins)) from None
    return Loaded(settings, origins, tuple(warnings))


def default_settings() -> Settings:
    """Return the settings in force when no data folder is named."""
    return load_default().settings


def load_default() -> Loaded:
    """Return the settings in force when no data folder is named, with origins and warnings."""
    return load_with_origins(find_file(find_data() or Settings().data))


def _explain(error: ValidationError, origins: Mapping[str, str], *section: str) -> str:
    """Return the problems in one line, without the values: they may be secret."""
    problems = error.errors(include_url=False, include_input=False)
    return "settings: " + "; ".join(
        _problem((*section, *map(str, each["loc"])), each["type"], each["msg"], origins)
        for each in problems
    )


def _problem(loc: tuple[str, ...], kind: str, message: str, origins: Mapping[str, str]) -> str:
    name = ".".join(loc)
    origin = next(
        (origins[known] for known in _prefixes(loc) if known in origins),
        next((origins[known] for known in origins if known.startswith(f"{name}.")), None),
    )
    where = name if origin in {None, "option"} else f"{name} ({origin})"
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(name, _names(), n=1)
        return f"{where} is not a setting" + (f", did you mean {near[0]}?" if near else "")
    return f"{where}: {message.removeprefix('Value error, ')}"


def _prefixes(loc: tuple[str, ...]) -> list[str]:
    return [".".join(loc[:length]) for length in range(len(loc), 0, -1)]


def _names() -> list[str]:
    names = []
    for name, value in Settings():
        names.append(name)
        if isinstance(value, Section):
            names += [f"{name}.{each}" for each in type(value).model_fields]
    return names
