"""The encodings that people paste bytes in: raw, hexadecimal, base64."""

import binascii
import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_HEX: Final = re.compile(r"(?:0[xX])?((?:[0-9A-Fa-f]{2})+)")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{4,}={0,2}")
_BASE64_URL: Final = re.compile(r"[A-Za-z0-9_-]{4,}={0,2}")
_TO_STANDARD: Final = str.maketrans("-_", "+/")
_UTF16: Final = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True, slots=True)
class Decoding:
    """One decoding of the bytes."""

    name: str
    data: bytes = field(repr=False)


def decodings(data: bytes) -> Iterator[Decoding]:
    """Yield every decoding of the bytes, raw first."""
    yield Decoding("raw", data)
    text = _text(data)
    if text is None:
        return
    compact = "".join(text.split())
    digits = _HEX.fullmatch(compact)
    if digits is not None:
        yield Decoding("hexadecimal", bytes.fromhex(digits[1]))
    for name, alphabet in (("base64", _BASE64), ("base64, URL-safe", _BASE64_URL)):
        decoded = _base64(compact) if alphabet.fullmatch(compact) else None
        if decoded is not None:
            yield Decoding(name, decoded)
            return


def xml_text(data: bytes) -> bytes | None:
    """Return a document in UTF-8 without byte order mark, or None if it is not XML."""
    text = _text(data)
    if text is None or not text.lstrip().startswith("<"):
        return None
    return text.lstrip().encode()


def _text(data: bytes) -> str | None:
    """Return UTF-8 or UTF-16 as text, ignoring its XML declaration."""
    for bom, encoding in _UTF16:
        if data.startswith(bom):
            return _decode(data, encoding)
    if data[1:2] == b"\0":
        return _decode(data, "utf-16-le")
    if data[:1] == b"\0":
        return _decode(data, "utf-16-be")
    return _decode(data, "utf-8-sig")


def _decode(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _base64(compact: str) -> bytes | None:
    bare = compact.translate(_TO_STANDARD).rstrip("=")
    try:
        return binascii.a2b_base64(bare + "=" * (-len(bare) % 4), strict_mode=True)
    except ValueError:
        return None
