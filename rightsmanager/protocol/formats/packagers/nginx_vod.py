"""The JSON that nginx-vod-module reads from its `vod_drm_upstream_location`.

    [{"pssh": [{"uuid", "data"}], "key", "key_id", "iv"}]

    uuid    the DRM system, 8-4-4-4-12 digits
    data    the content of the PSSH box, here the PlayReady Object
    key_id  the 16 bytes of the KID in the order of its text
    iv      8 or 16 bytes, left out if there is none

All but uuid are base64. The module reads the first element for each of its sequences of files.

Source: README.md of kaltura/nginx-vod-module, "DRM" and "vod_drm_upstream_location".
"""

import json
from collections.abc import Sequence

from rightsmanager.protocol.formats.packagers.protected_key import ProtectedKey
from rightsmanager.protocol.formats.pssh import SYSTEM_ID
from rightsmanager.protocol.wire import encode_base64


def build_reply(keys: Sequence[ProtectedKey]) -> bytes:
    """Return the JSON of these keys."""
    return json.dumps([_entry(key) for key in keys]).encode()


def _entry(key: ProtectedKey) -> dict[str, object]:
    system = {"uuid": str(SYSTEM_ID), "data": encode_base64(key.playready_object)}
    entry: dict[str, object] = {
        "pssh": [system],
        "key": encode_base64(key.key),
        "key_id": key.kid_base64,
    }
    return entry if key.iv is None else {**entry, "iv": encode_base64(key.iv)}
