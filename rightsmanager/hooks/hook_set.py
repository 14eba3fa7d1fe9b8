"""The hooks: an operator's own functions that take part in operations.

    authorise(Facts)                  returns nothing, or raises a Refusal for the client
    choose(Facts, grants)             returns a Choice, or None to change nothing; `grants` are the
                                      licences that an AcquireLicense request gets otherwise
    find_content_key(Facts, Kid)      returns 16 bytes, or None for the key of store or seed; not
                                      called for a key that the request itself gives
    stream_user(Facts, Grant)         returns the name of the user to count streams for, or None
                                      to count them for the account or the device
    stream_limit(Facts, holder)       returns the number of streams that the holder may have, 0 for
                                      no limit, or None for the setting's; called for licences with
                                      secure stop
    on_event(Event)                   receives each reply and refusal; returns nothing

`authorise` and `choose` are called in all nine operations and at the key endpoint, once the
challenge is verified, or the packager may have keys, and before anything is stored. All are plain,
synchronous functions. The setting `hooks.make` names one or more functions, `module:function`, or
plugins by their names in the entry point group `rightsmanager.hooks`. Each receives the options of
the settings and returns a HookSet. Each worker calls them once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from importlib import import_module
from typing import Any, Final

from rightsmanager.errors import InternalError, Refusal
from rightsmanager.hooks.choice import Choice
from rightsmanager.hooks.facts import Event, Facts, StreamHolder
from rightsmanager.policy.grants import Grant
from rightsmanager.protocol.wire import Kid

GROUP: Final = "rightsmanager.hooks"
"""The entry point group of plugins."""

Authorise = Callable[[Facts], None]
Choose = Callable[[Facts, tuple[Grant, ...]], Choice | None]
FindContentKey = Callable[[Facts, Kid], bytes | None]
StreamUser = Callable[[Facts, Grant], str | None]
StreamLimit = Callable[[Facts, StreamHolder], int | None]
OnEvent = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class HookSet:
    """The operator's functions; None for each that is not used."""

    authorise: Authorise | None = None
    choose: Choose | None = None
    find_content_key: FindContentKey | None = None
    stream_user: StreamUser | None = None
    stream_limit: StreamLimit | None = None
    on_event: OnEvent | None = None


def load_hooks(names: str, options: Mapping[str, str], *others: HookSet) -> HookSet:
    """Return the hooks of functions and plugins, separated by blanks, and those of other sets.

    Raises InternalError for a missing function, for one that returns anything but a HookSet, and
    for two that have the same hook.
    """
    # Any: functions of each hook's own type.
    hooks: dict[str, Any] = {}
    for made in (*others, *(_load(name, options) for name in names.split())):
        found = {each.name: getattr(made, each.name) for each in fields(HookSet)}
        found = {hook: function for hook, function in found.items() if function is not None}
        twice = sorted(hooks.keys() & found.keys())
        if twice:
            also = " in addition to hooks.url" if others else ""
            raise InternalError(
                f"hooks.make = {names!r} has {twice[0]} twice{also}, expected it once"
            )
        hooks |= found
    return replace(HookSet(), **hooks)


def _load(name: str, options: Mapping[str, str]) -> HookSet:
    try:
        made = _find(name)(options)
    except Refusal:
        raise
    except Exception as error:
        raise InternalError(
            f"hooks.make = {name!r} failed: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(made, HookSet):
        raise InternalError(f"hooks.make = {name!r} made a {type(made).__name__}, no HookSet")
    return made


# Any: the operator's code may have any type.
def _find(name: str) -> Any:  # noqa: ANN401
    module, colon, function = name.partition(":")
    if colon:
        return getattr(import_module(module), function)
    # Imported here: it takes 15 ms, which few servers need.
    from importlib.metadata import entry_points  # noqa: PLC0415

    found = entry_points(group=GROUP, name=name)
    if len({each.value for each in found}) != 1:
        known = ", ".join(sorted({each.name for each in entry_points(group=GROUP)})) or "none"
        raise InternalError(
            f"hooks.make = {name!r} names {len(found)} plugins, expected module:function or one "
            f"installed plugin of the entry point group {GROUP} (installed: {known})"
        )
    return next(iter(found)).load()
