"""A device's identity: its certificate chain and keys, and the public keys of its server.

certificate-chain.bin   BCert chain
signing.key             PKCS#8 PEM
encryption.key          PKCS#8 PEM
wmrmserver.pub          x(32), y(32): challenges are encrypted to it
root.pub                x(32), y(32): the server's chain must end in it
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from rightsmanager.crypto import p256, pem
from rightsmanager.errors import InternalError, Refusal
from rightsmanager.files import create_file, make_folder
from rightsmanager.protocol.formats.bcert import Chain, parse_chain
from rightsmanager.protocol.wire import encode_base64

CHAIN_FILE: Final = "certificate-chain.bin"
SIGNING_FILE: Final = "signing.key"
ENCRYPTION_FILE: Final = "encryption.key"
SERVER_FILE: Final = "wmrmserver.pub"
ROOT_FILE: Final = "root.pub"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Device:
    """A client's certificate chain and the two private keys of its leaf."""

    chain: Chain
    signing_key: p256.PrivateKey = field(repr=False)
    encryption_key: p256.PrivateKey = field(repr=False)

    @property
    def id(self) -> str:
        """The device id of servers: base64 of the SHA-256 of its signing key."""
        return encode_base64(hashlib.sha256(self.signing_key.public.raw).digest())


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """The public keys that a device needs before its first request."""

    wmrmserver: p256.PublicKey
    root: p256.PublicKey


def save_device(folder: Path, device: Device, server: ServerKeys) -> None:
    """Write a device's files into a new folder; raises InternalError if it holds a device."""
    make_folder(folder)
    if (folder / CHAIN_FILE).exists():
        raise InternalError(f"{folder} holds a device already")
    files = {
        SIGNING_FILE: pem.build_private_key(device.signing_key),
        ENCRYPTION_FILE: pem.build_private_key(device.encryption_key),
        SERVER_FILE: server.wmrmserver.raw,
        ROOT_FILE: server.root.raw,
        CHAIN_FILE: device.chain.raw,
    }
    for name, data in files.items():
        create_file(folder / name, data)


def load_device(folder: Path) -> Device:
    """Return the device of a folder; raises InternalError, which names the file at fault."""
    return Device(
        chain=_load(folder / CHAIN_FILE, parse_chain),
        signing_key=_load(folder / SIGNING_FILE, pem.parse_private_key),
        encryption_key=_load(folder / ENCRYPTION_FILE, pem.parse_private_key),
    )


def load_server_keys(folder: Path) -> ServerKeys:
    """Return the server's public keys of a folder; raises InternalError likewise."""
    return ServerKeys(
        wmrmserver=_load(folder / SERVER_FILE, p256.PublicKey),
        root=_load(folder / ROOT_FILE, p256.PublicKey),
    )


def _load(file: Path, parse: Callable[[bytes], T]) -> T:
    try:
        return parse(file.read_bytes())
    except OSError as error:
        raise InternalError(f"{file} cannot be read: {error.strerror}") from None
    except Refusal as refusal:
        raise InternalError(f"{file}: {refusal.text}") from None
