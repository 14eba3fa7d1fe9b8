"""A content key in the clear with the PlayReady Object that names it, and its use."""

import uuid
from dataclasses import dataclass, field

from rightsmanager.protocol.formats.pssh import Pssh, build_pssh, parse_object
from rightsmanager.protocol.wire import Kid, encode_base64


@dataclass(frozen=True, slots=True)
class ProtectedKey:
    """A key of a reply; the part of the program that it encrypts is in track and period."""

    kid: Kid
    key: bytes = field(repr=False)
    """16 bytes."""
    playready_object: bytes
    scheme: str = "cenc"
    """One of the four of ISO/IEC 23001-7."""
    iv: bytes | None = None
    """The explicit IV, 8 or 16 bytes; None for none."""
    track: str = ""
    """The name of the tracks, such as `SD`; empty for all."""
    period: int | None = None
    """The number of the key period; None for the whole program."""

    @property
    def pssh(self) -> bytes:
        """The PSSH box, version 0, as most packagers write it."""
        return build_pssh(Pssh(parse_object(self.playready_object)))

    @property
    def uuid(self) -> uuid.UUID:
        """The KID as a UUID, whose bytes are in the order of its text."""
        return uuid.UUID(bytes_le=self.kid.raw)

    @property
    def kid_base64(self) -> str:
        """The KID in base64, in the order of its text; PlayReady's own base64 has another."""
        return encode_base64(self.uuid.bytes)
