"""The settings in force and their origins."""

from collections.abc import Iterator
from itertools import groupby

from rightsmanager.settings_loading import SettingInForce
from rightsmanager.web.console.blocks import (
    PLAIN,
    Asked,
    Cell,
    Empty,
    Field,
    Table,
    View,
    code,
    filter_form,
    state,
)
from rightsmanager.web.console.parts import Parts

_COLUMNS = ("Setting", "Value", "Source")
_EMPTY = Empty("No setting matches the filter.")


def show_settings(parts: Parts, asked: Asked) -> View:
    """Return the page of all settings, or of those that are not at their default."""
    fields = (
        Field("q", "Name contains", asked.get("q")),
        Field("only", "Which", asked.get("only"), "select", choices=_CHOICES),
    )
    chosen = [each for each in parts.settings if _is_chosen(each, asked)]
    tables = tuple(_tables(chosen)) or (Table("Settings", _COLUMNS, (), _EMPTY, is_titled=False),)
    return View(
        "Settings",
        (filter_form(asked, "settings", fields), *tables),
        lead="The settings in force, and the file or variable that each comes from. They change "
        "with a restart. Secrets are hidden.",
    )


_CHOICES = (("", "all"), ("changed", "not at their default"))


def _is_chosen(setting: SettingInForce, asked: Asked) -> bool:
    is_changed = setting.origin is not None
    return asked.get("q").lower() in setting.name and (is_changed or asked.get("only") != "changed")


def _tables(settings: list[SettingInForce]) -> Iterator[Table]:
    for section, group in groupby(settings, lambda each: each.name.rpartition(".")[0]):
        yield Table(section or "General", _COLUMNS, tuple(_row(each) for each in group), _EMPTY)


def _row(setting: SettingInForce) -> tuple[Cell, ...]:
    origin = state("default", PLAIN) if setting.origin is None else code(setting.origin)
    return code(setting.name.rpartition(".")[2]), _value(setting), origin


def _value(setting: SettingInForce) -> Cell:
    if setting.is_secret:
        return state("hidden", PLAIN)
    value = setting.value
    if isinstance(value, bool):
        return code("true" if value else "false")
    if value in ("", [], None):
        return state("empty", PLAIN)
    return code(", ".join(map(str, value)) if isinstance(value, list) else str(value))
