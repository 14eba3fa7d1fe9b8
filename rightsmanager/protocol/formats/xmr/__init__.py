"""XMR, the licence format: `objects` are its vocabulary, `table` its coding, `license` the whole.

License, object and flags: see those modules, which open with the formats.
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
