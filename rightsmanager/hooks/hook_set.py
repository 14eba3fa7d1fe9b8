"""The hooks: an operator's own functions that take part in AcquireLicense.

    authorise(Facts)                  returns nothing, or raises a Refusal for the client
    choose_grants(Facts, grants)      returns the grants to issue in place of the given ones
    find_content_key(Facts, Kid)      returns 16 bytes, or None for the key of store or seed; not
                                      called for a key that the request itself gives
    stream_limit(Facts, holder)       returns the number of streams that the holder may have, 0 for
                                      no limit, or None for the setting's; called for licences with
                                      secure stop
    on_event(Event)                   receives each reply and refusal; returns nothing

All are plain, synchronous functions. The setting `hooks.make` names one function,
`module:function`, that receives the options of the settings and returns a HookSet. Each worker
calls it once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

from rightsmanager.errors import InternalError, Refusal
from rightsmanager.hooks.facts import Event, Facts, StreamHolder
from rightsmanager.policy.grants import Grant
from rightsmanager.protocol.wire import Kid

Authorise = Callable[[Facts], None]
ChooseGrants = Callable[[Facts, tuple[Grant, ...]], tuple[Grant, ...]]
FindContentKey = Callable[[Facts, Kid], bytes | None]
StreamLimit = Callable[[Facts, StreamHolder], int | None]
OnEvent = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class HookSet:
    """The operator's functions; None for each that is not used."""

    authorise: Authorise | None = None
    choose_grants: ChooseGrants | None = None
    find_content_key: FindContentKey | None = None
    stream_limit: StreamLimit | None = None
    on_event: OnEvent | None = None


def load_hooks(name: str, options: Mapping[str, str]) -> HookSet:
    """Return the hooks that the function `module:function` makes of the options.

    Raises InternalError for a missing function or one that returns anything but a HookSet.
    """
    if not name:
        return HookSet()
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
