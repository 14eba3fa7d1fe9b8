"""XMR, the licence format.

`objects` has the classes of objects, `table` their coding, `license` parses, builds and signs. The
modules open with the formats.
"""

from rightsmanager.protocol.formats.xmr.license import (
    License,
    build_license,
    build_signed,
    parse_license,
    rights_id_after,
    sign_objects,
    verify_signature,
)
from rightsmanager.protocol.formats.xmr.table import build_objects

__all__ = [
    "License",
    "build_license",
    "build_objects",
    "build_signed",
    "parse_license",
    "rights_id_after",
    "sign_objects",
    "verify_signature",
]
