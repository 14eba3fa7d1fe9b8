"""The hooks: an operator's own functions that take part in operations.

    authorise(Facts)                  returns nothing, or raises a Refusal for the client
    choose_grants(Facts, grants)      returns the grants to issue in place of the given ones
    find_content_key(Facts, Kid)      returns 16 bytes, or None for the key of store or seed; not
                                      called for a key that the request itself gives
    authorise_operation(Facts)        as authorise, for the other operations of devices
    reply_custom_data(Facts)          returns the CustomData of a reply to AcquireLicense, or None
    stream_user(Facts, Grant)         returns the name of the user to count streams for, or None
                                      to count them for the account or the device
    stream_limit(Facts, holder)       returns the number of streams that the holder may have, 0 for
                                      no limit, or None for the setting's; called for licences with
                                      secure stop
    on_event(Event)                   receives each reply and refusal; returns nothing

All are plain, synchronous functions. The setting `hooks.make` names one or more functions,
`module:function`, each of which receives the options of the settings and returns a HookSet. Each
worker calls them once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from importlib import import_module
from typing import Any

from rightsmanager.errors import InternalError, Refusal
from rightsmanager.hooks.facts import Event, Facts, StreamHolder
from rightsmanager.policy.grants import Grant
from rightsmanager.protocol.wire import Kid

Authorise = Callable[[Facts], None]
ChooseGrants = Callable[[Facts, tuple[Grant, ...]], tuple[Grant, ...]]
FindContentKey = Callable[[Facts, Kid], bytes | None]
ReplyCustomData = Callable[[Facts], str | None]
StreamUser = Callable[[Facts, Grant], str | None]
StreamLimit = Callable[[Facts, StreamHolder], int | None]
OnEvent = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class HookSet:
    """The operator's functions; None for each that is not used."""

    authorise: Authorise | None = None
    choose_grants: ChooseGrants | None = None
    find_content_key: FindContentKey | None = None
    authorise_operation: Authorise | None = None
    reply_custom_data: ReplyCustomData | None = None
    stream_user: StreamUser | None = None
    stream_limit: StreamLimit | None = None
    on_event: OnEvent | None = None


def load_hooks(names: str, options: Mapping[str, str]) -> HookSet:
    """Return the hooks of functions, `module:function` separated by blanks, with these options.

    Raises InternalError for a missing function, for one that returns anything but a HookSet, and
    for two that have the same hook.
    """
    # Any: functions of each hook's own type.
    hooks: dict[str, Any] = {}
    for name in names.split():
        made = _load(name, options)
        found = {each.name: getattr(made, each.name) for each in fields(HookSet)}
        found = {hook: function for hook, function in found.items() if function is not None}
        twice = sorted(hooks.keys() & found.keys())
        if twice:
            raise InternalError(f"hooks.make = {names!r} has {twice[0]} twice, expected it once")
        hooks |= found
    return replace(HookSet(), **hooks)


def _load(name: str, options: Mapping[str, str]) -> HookSet:
    module, _, function = name.partition(":")
    try:
        made = getattr(import_module(module), function)(options)
    except Refusal:
        raise
    except Exception as error:
        raise InternalError(
            f"hooks.make = {name!r} failed: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(made, HookSet):
        raise InternalError(f"hooks.make = {name!r} made a {type(made).__name__}, no HookSet")
    return made
