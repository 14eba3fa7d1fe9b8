"""The answer of the hook `choose`: what an operation grants and says to the client."""

import re
from dataclasses import dataclass, field
from typing import Final

from rightsmanager.errors import InternalError
from rightsmanager.policy.grants import Grant
from rightsmanager.protocol.wire import CONTENT_KEY_LENGTH, AccountId, Kid

# The store's column for holders has 64 characters.
MAX_USER: Final = 58
"""Longest name of a user, in characters."""
MAX_CUSTOM_DATA: Final = 65536
"""Longest CustomData, in characters."""
MAX_NUMBER: Final = 0xFFFFFFFF
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def is_xml(text: str) -> bool:
    """Return whether XML allows all characters of a text; if not, logs and the store may not."""
    return _NOT_XML.search(text) is None


def refuse_custom_data(text: object) -> None:
    """Raise InternalError for a value that is neither None nor a text for CustomData."""
    if text is None:
        return
    if not isinstance(text, str):
        raise InternalError(f"the hook's custom_data is a {type(text).__name__}, expected a text")
    if len(text) > MAX_CUSTOM_DATA:
        raise InternalError(
            f"the hook's custom_data has {len(text)} characters, expected at most {MAX_CUSTOM_DATA}"
        )
    if not is_xml(text):
        raise InternalError("the hook's custom_data has characters that XML does not allow")


def is_user(name: object) -> bool:
    """Return whether the value is a name of a user."""
    return isinstance(name, str) and 0 < len(name) <= MAX_USER and is_xml(name)


def is_number(value: object, most: int = MAX_NUMBER) -> bool:
    """Return whether the value is a number from 0 to `most`."""
    # type() and not isinstance(): True is an int.
    return type(value) is int and 0 <= value <= most


@dataclass(frozen=True, slots=True)
class Dropped:
    """A licence that is not issued."""

    kid: Kid
    reason: str
    """One line for the log, the journal and the response header."""

    def __post_init__(self) -> None:
        """Refuse other types."""
        if not (isinstance(self.kid, Kid) and isinstance(self.reason, str)):
            raise InternalError("the hook dropped a licence without its Kid and a reason")


@dataclass(frozen=True, slots=True)
class ChosenKey:
    """The key of a program in a key period, or of a KID."""

    program: str | None
    """As in RequestedKey; None for a key that belongs to no program."""
    period: int = 0
    kid: Kid | None = None
    """The KID of the key; None to draw one."""
    key: bytes | None = field(default=None, repr=False)
    """16 bytes; None to draw one."""

    def __post_init__(self) -> None:
        """Refuse other types and lengths."""
        is_kid = self.kid is None or isinstance(self.kid, Kid)
        if not is_kid or (self.program is None and self.kid is None):
            raise InternalError("the hook chose a key without a program or its Kid")
        if self.key is not None and not is_content_key(self.key):
            raise InternalError(f"the hook chose a key of another form than {CONTENT_KEY_LENGTH} B")


def is_content_key(key: object) -> bool:
    """Return whether the value is 16 bytes."""
    return isinstance(key, bytes) and len(key) == CONTENT_KEY_LENGTH


@dataclass(frozen=True, slots=True)
class Choice:
    """The answer of the hook `choose`; raises InternalError for values of other types.

    A field without a meaning for an operation is ignored there.
    """

    grants: tuple[Grant, ...] | None = None
    """AcquireLicense: the licences to issue; None for the given ones."""
    dropped: tuple[Dropped, ...] = ()
    """AcquireLicense: the licences that are not issued, each with a warning."""
    expires_in_seconds: int | None = None
    """AcquireLicense: the time from issue until each licence expires, in place of its own end."""
    stream_user: str | None = None
    """AcquireLicense: the user whose streams are counted, at most 58 characters."""
    stream_limit: int | None = None
    """AcquireLicense: the most streams of each holder, 0 for no limit; None for the settings'."""
    account_id: AccountId | None = None
    """JoinDomain: the account to join; None for the one that the request names."""
    keys: tuple[ChosenKey, ...] = ()
    """AcquirePackagingData and KeyEndpoint: KIDs and keys of new programs."""
    custom_data: str | None = None
    """The CustomData of the reply, and of a later fault that has none of its own."""

    def __post_init__(self) -> None:
        """Refuse values of other types."""
        refuse_custom_data(self.custom_data)
        for name, kind in _TUPLES.items():
            value = getattr(self, name)
            if value is not None and not _is_tuple(value, kind):
                raise InternalError(f"the hook's {name} are no tuple of {kind.__name__}")
        for name, is_right, expected in (
            ("expires_in_seconds", _is_seconds, f"1 to {MAX_NUMBER}"),
            ("stream_user", is_user, f"a text of 1 to {MAX_USER} characters that XML allows"),
            ("stream_limit", is_number, f"0 to {MAX_NUMBER}"),
            ("account_id", _is_account, "an AccountId"),
        ):
            value = getattr(self, name)
            if value is not None and not is_right(value):
                raise InternalError(
                    f"the hook's {name} is {str(value)[:64]!r}, expected {expected}"
                )


_TUPLES: Final = {"grants": Grant, "dropped": Dropped, "keys": ChosenKey}


def _is_tuple(value: object, kind: type) -> bool:
    return isinstance(value, tuple) and all(isinstance(each, kind) for each in value)


def _is_seconds(value: object) -> bool:
    return is_number(value) and value != 0


def _is_account(value: object) -> bool:
    return isinstance(value, AccountId)


AS_REQUESTED: Final = Choice()
"""The choice that changes nothing."""
