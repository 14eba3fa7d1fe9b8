"""Content keys: stored ones with their origin. A key itself is shown by an act alone."""

from typing import Final

from rightsmanager.admin.content_listing import ContentKeyFacts
from rightsmanager.protocol.formats.keylists import KEY_TYPES, KeyEntry, parse_content_key
from rightsmanager.protocol.wire import Kid, encode_base64, parse_track
from rightsmanager.store.content_keys import KeyFilter
from rightsmanager.store.sources import IMPORT, OPERATOR, PACKAGER
from rightsmanager.web.console.acts import OperatorAct
from rightsmanager.web.console.blocks import (
    GOOD,
    OFF,
    Act,
    Asked,
    Cell,
    Empty,
    Facts,
    Field,
    Notice,
    View,
    code,
    filter_form,
    link,
    time,
)
from rightsmanager.web.console.lists import Listing, cut_of
from rightsmanager.web.console.parts import Parts

_ORIGINS: Final = ("", OPERATOR, PACKAGER, IMPORT)
_TYPES: Final = tuple(KEY_TYPES)


def show_keys(parts: Parts, asked: Asked) -> View:
    """Return the page of the stored content keys."""
    chosen = KeyFilter(
        program=asked.get("program") or None,
        origin=asked.choose("origin", _ORIGINS) or None,
        key_type=asked.choose("type", ("", *_TYPES)) or None,
        track=asked.get("track").strip().lower() or None,
    )
    page = parts.management.keys.find_page(chosen, cut_of(asked))
    origins = tuple((each, each or "any") for each in _ORIGINS)
    types = tuple((each, each or "any") for each in ("", *_TYPES))
    fields = (
        Field("program", "Program", asked.get("program")),
        Field("origin", "Origin", asked.get("origin"), "select", choices=origins),
        Field("type", "Type", asked.get("type"), "select", choices=types),
        Field("track", "Track", asked.get("track")),
    )
    return View(
        "Content keys",
        (filter_form(asked, "keys", fields), _LIST.table(asked, page)),
        lead="Stored content keys, oldest first. Any other KID has the key that the key seed "
        "gives. The keys themselves are hidden.",
        acts=(
            Act("Add a key", "acts/add-key"),
            Act("Import a list", "acts/import-keys"),
            Act("Rotate keys", "acts/rotate-keys"),
        ),
    )


def show_key(parts: Parts, asked: Asked) -> View:
    """Return the page of one content key."""
    facts = parts.management.keys.find(Kid.parse(asked.path["kid"]))
    return _key_view(facts, ())


def _key_view(facts: ContentKeyFacts, key: tuple[tuple[str, Cell], ...]) -> View:
    kid = facts.kid.text
    notice = (Notice(OFF, "This key is shown once, and the act is recorded."),) if key else ()
    return View(
        "Content key",
        (
            *notice,
            Facts(
                (
                    ("KID", code(kid)),
                    ("in base64", code(facts.kid_base64)),
                    *key,
                    ("Type", code(facts.type)),
                    ("Added", time(facts.added_at)),
                    ("Origin", Cell(facts.origin)),
                    ("Program", Cell(facts.program or "none")),
                    ("Key period", Cell("none" if facts.period is None else str(facts.period))),
                    ("Track", Cell(facts.track or "none")),
                )
            ),
        ),
        acts=(
            Act("Reveal the key", link("acts/reveal-key", kid=kid)),
            Act("Set the track", link("acts/set-track", kid=kid, track=facts.track or "")),
            Act("Remove", link("acts/remove-key", kid=kid)),
            Act("Requests for it", link("journal", kid=kid)),
            Act("Licences for it", link("licenses", kid=kid)),
        ),
        up=Act("Content keys", "keys"),
    )


def _row(key: ContentKeyFacts) -> tuple[Cell, ...]:
    return (
        code(key.kid.text, link("keys", key.kid.text)),
        code(key.type),
        Cell(key.origin),
        Cell(key.program or ""),
        Cell("" if key.period is None else str(key.period)),
        Cell(key.track or ""),
        time(key.added_at),
    )


_LIST: Final = Listing(
    "keys",
    "Content keys",
    ("KID", "Type", "Origin", "Program", "Period", "Track", "Added"),
    _row,
    Empty(
        "No content key is stored: every KID has the key that the key seed gives. Add a key here, "
        "by a packager's request, or with:",
        "rightsmanager content add KID KEY",
        Act("Add a key", "acts/add-key"),
    ),
)


# --- acts -----------------------------------------------------------------------------------------


def _to_list(_asked: Asked) -> str:
    return "keys"


def _to_key(asked: Asked) -> str:
    return link("keys", asked.get("kid"))


def _add(parts: Parts, asked: Asked) -> str:
    kid = Kid.parse(asked.get("kid"))
    program, period = asked.get("program") or None, asked.number("period")
    entry = KeyEntry(
        kid,
        parse_content_key(asked.get("key"), "the content key"),
        asked.choose("type", _TYPES),
        program,
        0 if program is not None and period is None else period,
        track=_track(asked),
    )
    parts.management.keys.add(entry)
    return link("keys", kid.text)


def _track(asked: Asked) -> str | None:
    text = asked.get("track").strip()
    return parse_track(text) if text else None


def _set_track(parts: Parts, asked: Asked) -> str:
    kid = Kid.parse(asked.get("kid"))
    parts.management.keys.set_track(kid, _track(asked))
    return link("keys", kid.text)


def _import(parts: Parts, asked: Asked) -> View:
    document = asked.files.get("file") or asked.get("list").encode()
    imported = parts.management.keys.import_list(document)
    text = f"{imported.added} added, {imported.stored_already} stored already."
    return View(
        "Imported",
        (Notice(GOOD, text), *(Notice(OFF, note) for note in imported.notes)),
        up=Act("Content keys", "keys"),
    )


def _rotate(parts: Parts, asked: Asked) -> View:
    rotation, program = parts.management.rotation, asked.get("program")
    periods = rotation.find_next(program, asked.number("count") or 1)
    url = parts.management.options.public_url
    rotated = rotation.rotate(program, periods, url=url)
    facts = tuple(
        (f"Period {each.period}", code(each.kid.text, link("keys", each.kid.text)))
        for each in rotated.periods
    )
    return View(
        "Keys of the next periods",
        (Notice(GOOD, "Packagers get these keys for the program's periods."), Facts(facts)),
        up=Act("Content keys", "keys"),
    )


def _reveal(parts: Parts, asked: Asked) -> View:
    kid = Kid.parse(asked.get("kid"))
    revealed = parts.management.keys.reveal(kid)
    key = (
        ("Key in hexadecimal digits", code(revealed.key.hex())),
        ("Key in base64", code(encode_base64(revealed.key))),
    )
    return _key_view(parts.management.keys.find(kid), key)


def _remove(parts: Parts, asked: Asked) -> str:
    parts.management.keys.remove(Kid.parse(asked.get("kid")))
    return "keys"


_KID: Final = Field("kid", "KID", kind="fixed")
_TRACK: Final = Field("track", "Track", hint="such as audio, sd, hd or uhd; may be empty")
KEY_ACTS: Final = {
    "add-key": OperatorAct(
        "Add a content key",
        "Licences for the KID will have this key. A stored key is never replaced.",
        "Add",
        "The key is stored.",
        (
            Field("kid", "KID", hint="GUID or base64", is_required=True),
            Field("key", "Key", kind="password", hint="32 hexadecimal digits or base64"),
            Field("type", "Type", kind="select", choices=tuple((each, each) for each in _TYPES)),
            Field("program", "Program", hint="for packagers; may be empty"),
            Field("period", "Key period", kind="number", hint="of the program"),
            _TRACK,
        ),
        _add,
        _to_list,
        secrets=frozenset({"key"}),
    ),
    "import-keys": OperatorAct(
        "Import content keys",
        "Stores all keys of a CPIX or CSV list, or none. Stored keys stay as they are.",
        "Import",
        "The list is imported.",
        (
            Field("file", "File", kind="file"),
            Field("list", "or the list as text", kind="area"),
        ),
        _import,
        _to_list,
        secrets=frozenset({"list"}),
    ),
    "rotate-keys": OperatorAct(
        "Create the keys of the next key periods",
        "The periods follow the last one of the program that has a key.",
        "Create",
        "The keys are stored.",
        (
            Field("program", "Program", is_required=True),
            Field("count", "Periods", "1", kind="number"),
        ),
        _rotate,
        _to_list,
    ),
    "set-track": OperatorAct(
        "Set the track of the content key",
        "The kind of streams that the key encrypts. Later licences for the KID have the policy "
        "that the settings name for this track. Empty: none.",
        "Set",
        "The track is set.",
        (_KID, _TRACK),
        _set_track,
        _to_key,
    ),
    "reveal-key": OperatorAct(
        "Reveal the content key?",
        "The next page shows it in the clear.",
        "Reveal",
        "",
        (_KID,),
        _reveal,
        _to_key,
    ),
    "remove-key": OperatorAct(
        "Remove the content key?",
        "Later licences for the KID have the key that the key seed gives. Content that is "
        "encrypted with this key can no longer be played with new licences.",
        "Remove",
        "The key is removed.",
        (_KID,),
        _remove,
        _to_key,
        is_danger=True,
    ),
}
