"""Loading of hooks: one function, several functions, and functions that do not fit together."""

from collections.abc import Mapping
from pathlib import Path

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


def install(folder: Path, name: str, *entries: str) -> None:
    """Write the metadata of an installed package with entry points."""
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = ["[rightsmanager.hooks]", *entries]
    (metadata / "entry_points.txt").write_text("\n".join(lines))


def test_a_plugin_is_found_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "entitlement", f"entitlement = {HERE}:make_key", f"both = {HERE}:make_key")
    install(tmp_path, "other", f"both = {HERE}:make_event", f"broken = {HERE}:missing")
    monkeypatch.syspath_prepend(tmp_path)
    made = load_hooks(f"entitlement {HERE}:make_event", {"key": "k"})
    assert made.find_content_key is not None
    assert made.on_event is not None
    with pytest.raises(InternalError, match=r"names 2 plugins, .*\(installed: .*both"):
        load_hooks("both", {})
    with pytest.raises(InternalError, match=r"hooks\.make = 'broken' failed: Attr"):
        load_hooks("broken", {})
    with pytest.raises(InternalError, match=r"names 0 plugins, .*broken, entitlement"):
        load_hooks("entitlements", {})


def test_hooks_of_functions_and_of_a_back_end_make_one_set() -> None:
    other = HookSet(on_event=lambda _event: None)
    assert load_hooks(f"{HERE}:make_key", {"key": "k"}, other).on_event is other.on_event
    with pytest.raises(InternalError, match=r"has on_event twice in addition to hooks\.url"):
        load_hooks(f"{HERE}:make_event", {}, other)


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
