"""Headers and vectors shared by the tests of policies."""

import json
from pathlib import Path

from rightsmanager.protocol.formats.wrmheader import Algid, Header, HeaderKid, Version
from rightsmanager.protocol.wire import Kid, Mid

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "policy.json").read_text("utf-8"))
OWN_MID = Mid.from_text(VECTORS["default_mid"])
"""The server's metering id, the default."""
KIDS = tuple(Kid(bytes([number]) * 16) for number in range(1, 4))


def header(*kids: Kid, algid: Algid | None = Algid.AESCTR) -> Header:
    return Header(Version.V4_3, tuple(HeaderKid(kid, algid) for kid in kids or KIDS[:1]))
