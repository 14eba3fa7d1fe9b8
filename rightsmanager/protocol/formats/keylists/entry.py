"""A content key in a list of keys."""

from dataclasses import dataclass, field
from typing import Final

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.wire import (
    MAX_PROGRAM_LENGTH,
    Kid,
)

SCHEMES: Final = {"cenc": "aesctr", "cens": "aesctr", "cbc1": "aescbc", "cbcs": "aescbc"}
"""The key type of each protection scheme of ISO/IEC 23001-7."""
KEY_TYPES: Final = ("aesctr", "aescbc")
ROOT_SUFFIX: Final = "#root"
"""The ending of the name under which a program has its root key."""
LAST_PERIOD: Final = 2**32 - 1
_IV_LENGTHS: Final = (8, 16)


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A content key in the clear with its attributes in the list."""

    kid: Kid
    key: bytes = field(repr=False)
    """16 bytes."""
    key_type: str = "aesctr"
    program: str | None = None
    period: int | None = None
    """A number together with a program, otherwise None."""
    scheme: str | None = None
    """One of SCHEMES; None if not listed."""
    iv: bytes | None = None
    """The explicit IV, 8 or 16 bytes; None if not listed."""
    track: str | None = None
    """The kind of streams that it encrypts, such as `uhd`; None if not listed."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """Texts on parts of the list that the entry does not keep."""

    def __post_init__(self) -> None:
        """Refuse contradictions and values out of range."""
        if (self.program is None) is not (self.period is None):
            raise InvalidMessage(f"KID {self.kid.text} has a program or a period, expected both")
        if self.program is not None and not 0 < len(self.program) <= MAX_PROGRAM_LENGTH:
            raise InvalidMessage(
                f"the program of KID {self.kid.text} has {len(self.program)} characters, "
                f"expected 1 to {MAX_PROGRAM_LENGTH}"
            )
        if self.period is not None and not 0 <= self.period <= LAST_PERIOD:
            raise InvalidMessage(
                f"the period of KID {self.kid.text} is {self.period}, expected 0 to {LAST_PERIOD}"
            )
        if self.iv is not None and len(self.iv) not in _IV_LENGTHS:
            raise InvalidMessage(
                f"the IV of KID {self.kid.text} has {len(self.iv)} bytes, expected 8 or 16"
            )
