"""The GUIDs of protections and technologies in licences, and the data of some.

Source: the published compliance rules, the parameters of the public test server, and the published
page on PlayReady in Windows applications.
"""

from collections.abc import Callable
from typing import Final

_NUMBER: Final = 4

NAMES: Final = {
    "abb2c6f1-e663-4625-a945-972d17b231e7": "HDCP type",
    "9645e831-e01d-4fff-8342-0a720e3e028f": "maximum resolution",
    "c3fd11c6-f8b7-4d20-b008-1db17d61f2da": "automatic gain control and color stripe",
    "225cd36f-f132-49ef-ba8c-c91ea28e4369": "CGMS-A",
    "2098de8d-7ddd-4bab-96c6-32ebb6fabea3": "CGMS-A, required",
    "6d5cfa59-c250-4426-930e-fac72c8fcfa6": "SCMS",
    "d783a191-e083-4baf-b2da-e69f910b3772": "analog computer monitor",
    "811c5110-46c8-4c6e-8163-c0482a15d47e": "analog component",
    "760ae755-682a-41e0-b1b3-dcdf836a7306": "digital video only",
    "5abf0f0d-dc29-4b82-9982-fd8e57525bfc": "AirPlay",
    "b621d91f-edcc-4035-8d4b-dc71760d43e9": "unknown outputs, standard definition",
    "786627d8-c2a6-44be-8f88-08ae255b01a7": "unknown outputs, high definition",
    # Its meaning is not published: it is in the licence URLs of published samples.
    "ae092501-a9e3-46f6-afbe-628577dcdf55": "enabler of published samples",
}
"""Names by GUID as text."""


def meaning_of(guid: str, data: bytes) -> str | None:
    """Return the meaning of the data of a GUID, or None if unknown."""
    read = _READERS.get(guid)
    return None if read is None else read(data)


def _resolution(data: bytes) -> str | None:
    if len(data) != 2 * _NUMBER:
        return None
    # The height comes first.
    return f"{int.from_bytes(data[_NUMBER:])}x{int.from_bytes(data[:_NUMBER])}"


def _little_endian(data: bytes) -> str | None:
    return str(int.from_bytes(data, "little")) if len(data) == _NUMBER else None


_READERS: Final[dict[str, Callable[[bytes], str | None]]] = {
    "9645e831-e01d-4fff-8342-0a720e3e028f": _resolution,
    "c3fd11c6-f8b7-4d20-b008-1db17d61f2da": _little_endian,
}
