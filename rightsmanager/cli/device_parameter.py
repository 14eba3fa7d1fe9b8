"""A parameter that names a device."""

from pathlib import Path
from typing import Final

from rightsmanager.admin.domains import parse_device
from rightsmanager.cli.options import Parsed
from rightsmanager.device.identity import CHAIN_FILE
from rightsmanager.files import is_file, read_file
from rightsmanager.protocol.formats.bcert import parse_chain


def _parse(text: str) -> str:
    file = Path(text)
    if is_file(file / CHAIN_FILE):
        file /= CHAIN_FILE
    if is_file(file):
        return parse_chain(read_file(file)).leaf.device_id
    return parse_device(text)


DEVICE: Final = Parsed("device", _parse)
"""The device id (base64 of the SHA-256 of the signing key), its chain's file, or its folder."""
