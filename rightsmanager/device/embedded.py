"""Leaf licences in the media: found in PSSH boxes, and opened through root licences."""

from collections.abc import Iterator

from rightsmanager.device.opening import LicenseOpener, OpenedLicense, Roots, open_license
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.embedded import embedded_licenses
from rightsmanager.protocol.formats.input_forms import Form, find_all
from rightsmanager.protocol.formats.pssh import PlayReadyObject, parse_object, parse_pssh

_NO_ROOTS: Roots = {}


def find_embedded(data: bytes) -> tuple[bytes, ...]:
    """Return the licences within the PSSH boxes and PlayReady Objects of any input.

    It may be a media segment. Raises InvalidMessage for an input without a box or object.
    """
    return tuple(each for found in _find_objects(data) for each in embedded_licenses(found))


def open_embedded(
    data: bytes, opening: LicenseOpener, here: Roots = _NO_ROOTS
) -> tuple[OpenedLicense, ...]:
    """Return the licences of `find_embedded`, opened; raises InvalidMessage.

    here: the content keys of roots that are not stored, by KID.
    """
    return tuple(open_license(raw, opening, here) for raw in find_embedded(data))


def _find_objects(data: bytes) -> Iterator[PlayReadyObject]:
    found = find_all(data)
    objects = [each for each in found if each.form in {Form.OBJECT, Form.PSSH}]
    if not objects:
        raise InvalidMessage(f"there is a {found[0].form.value}, expected a PSSH box of PlayReady")
    for each in objects:
        is_box = each.form is Form.PSSH
        yield parse_pssh(each.data).object if is_box else parse_object(each.data)
