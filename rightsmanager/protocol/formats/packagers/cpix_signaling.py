"""The elements of a CPIX DRMSystem that announce PlayReady in manifests and playlists.

    PSSH                                  base64 of the PSSH box
    ContentProtectionData                 base64 of the XML in DASH's ContentProtection
    URIExtXKey                            base64 of the URI of EXT-X-KEY
    HLSSignalingData @playlist            base64 of EXT-X-KEY (media) or EXT-X-SESSION-KEY (master)
    SmoothStreamingProtectionHeaderData   the PlayReady Object in base64, as ProtectionHeader has it
    speke:ProtectionHeader                the same
    speke:KeyFormat, KeyFormatVersions    base64 of the attributes of EXT-X-KEY

Source: CPIX 2.3, sections on DRMSystem; the AWS documents of SPEKE 1.0 for the namespace speke; the
published PlayReady documents on DASH, HLS and Smooth Streaming for the contents.
"""

from collections.abc import Callable, Mapping
from typing import Final

from lxml import etree

from rightsmanager.protocol.formats.packagers.protected_key import ProtectedKey
from rightsmanager.protocol.wire import encode_base64

CPIX: Final = "{urn:dashif:org:cpix}"
SPEKE: Final = "{urn:aws:amazon:com:speke}"
KEY_FORMAT: Final = "com.microsoft.playready"
KEY_FORMAT_VERSIONS: Final = "1"

_HLS_METHODS: Final = {
    "cenc": "SAMPLE-AES-CTR",
    "cens": "SAMPLE-AES-CTR",
    "cbc1": "SAMPLE-AES",
    "cbcs": "SAMPLE-AES",
}
_HLS_TAGS: Final = {"media": "EXT-X-KEY", "master": "EXT-X-SESSION-KEY"}
_HLS: Final = f"{CPIX}HLSSignalingData"


_ORDER: Final = {
    CPIX + name: place
    for place, name in enumerate(
        (
            *("PSSH", "ContentProtectionData", "URIExtXKey", "HLSSignalingData"),
            *("SmoothStreamingProtectionHeaderData", "HDSSignalingData"),
        )
    )
}
"""The elements of a DRMSystem in the order of the schema, in which those of others follow."""


def sort_system(system: etree._Element) -> None:
    """Put the elements of a DRMSystem into the order of the schema."""
    # The published requests of SPEKE 1.0 have their own elements first.
    system[:] = sorted(system, key=lambda element: _ORDER.get(str(element.tag), len(_ORDER)))


def fill_system(system: etree._Element, key: ProtectedKey) -> None:
    """Fill in the elements that a DRMSystem has, or all if it has none."""
    if len(system) == 0:
        for name in ("PSSH", "ContentProtectionData"):
            etree.SubElement(system, CPIX + name)
        for playlist in _HLS_TAGS:
            etree.SubElement(system, _HLS, playlist=playlist)
        etree.SubElement(system, f"{CPIX}SmoothStreamingProtectionHeaderData")
    for element in list(system):
        build = _BUILDERS.get(str(element.tag))
        if build is None:
            system.remove(element)
        else:
            element.text = build(key, element.get("playlist", "media"))


def _pssh(key: ProtectedKey, _playlist: str) -> str:
    return encode_base64(key.pssh)


def _object(key: ProtectedKey, _playlist: str) -> str:
    return encode_base64(key.playready_object)


def _dash(key: ProtectedKey, _playlist: str) -> str:
    xml = (
        f'<cenc:pssh xmlns:cenc="urn:mpeg:cenc:2013">{encode_base64(key.pssh)}</cenc:pssh>'
        '<mspr:pro xmlns:mspr="urn:microsoft:playready">'
        f"{encode_base64(key.playready_object)}</mspr:pro>"
    )
    return encode_base64(xml.encode())


def _uri(key: ProtectedKey) -> str:
    return f"data:text/plain;charset=UTF-16;base64,{encode_base64(key.playready_object)}"


def _hls_uri(key: ProtectedKey, _playlist: str) -> str:
    return encode_base64(_uri(key).encode())


def _hls(key: ProtectedKey, playlist: str) -> str:
    tag = (
        f"#{_HLS_TAGS[playlist]}:METHOD={_HLS_METHODS[key.scheme]},"
        f'URI="{_uri(key)}",KEYFORMAT="{KEY_FORMAT}",KEYFORMATVERSIONS="{KEY_FORMAT_VERSIONS}"'
    )
    return encode_base64(tag.encode())


def _key_format(_key: ProtectedKey, _playlist: str) -> str:
    return encode_base64(KEY_FORMAT.encode())


def _key_format_versions(_key: ProtectedKey, _playlist: str) -> str:
    return encode_base64(KEY_FORMAT_VERSIONS.encode())


_BUILDERS: Final[Mapping[str, Callable[[ProtectedKey, str], str]]] = {
    f"{CPIX}PSSH": _pssh,
    f"{CPIX}ContentProtectionData": _dash,
    f"{CPIX}URIExtXKey": _hls_uri,
    _HLS: _hls,
    f"{CPIX}SmoothStreamingProtectionHeaderData": _object,
    f"{SPEKE}ProtectionHeader": _object,
    f"{SPEKE}KeyFormat": _key_format,
    f"{SPEKE}KeyFormatVersions": _key_format_versions,
}
