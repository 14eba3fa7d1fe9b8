"""Loading of hooks: one function, several functions, and functions that do not fit together."""

from collections.abc import Mapping

import pytest

from rightsmanager.errors import InternalError
from rightsmanager.hooks.hook_set import HookSet, load_hooks
from rightsmanager.protocol.wire import Kid

HERE = __name__


def make_key(options: Mapping[str, str]) -> HookSet:
    key = options["key"].encode()
    return HookSet(find_content_key=lambda _facts, _kid: key)


def make_event(_options: Mapping[str, str]) -> HookSet:
    return HookSet(on_event=lambda _event: None)


def make_nothing(_options: Mapping[str, str]) -> None:
    pass


def test_without_a_name_there_are_no_hooks() -> None:
    assert load_hooks("", {}) == HookSet()


def test_several_functions_make_one_set_of_hooks() -> None:
    made = load_hooks(f"{HERE}:make_key  {HERE}:make_event", {"key": "0123456789abcdef"})
    assert made.find_content_key is not None
    assert made.find_content_key(None, Kid(bytes(16))) == b"0123456789abcdef"  # type: ignore[arg-type]
    assert made.on_event is not None
    assert made.authorise is None


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (f"{HERE}:make_event {HERE}:make_event", "has on_event twice, expected it once"),
        (f"{HERE}:make_event {HERE}:make_nothing", "made a NoneType, no HookSet"),
        (f"{HERE}:make_key", "failed: KeyError: 'key'"),
        (f"{HERE}:missing", "failed: AttributeError"),
        ("missing.module:make", "failed: ModuleNotFoundError"),
        (HERE, "names 0 plugins, expected module:function or one installed plugin"),
    ],
)
def test_hooks_that_cannot_be_loaded_are_refused_by_their_setting(names: str, text: str) -> None:
    with pytest.raises(InternalError) as caught:
        load_hooks(names, {})
    assert caught.value.text.startswith("hooks.make = '")
    assert text in caught.value.text
