"""Bearer tokens of operators and their programs: create, check, list and revoke.

A token is 256 random bits, and the database has its SHA-256 alone. A slow hash, as passwords need,
would protect nothing: so many random bits cannot be guessed.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import Enum
from typing import Final

from rightsmanager.admin.refusals import Conflict, NotFound
from rightsmanager.admin.times import date_of
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import ServiceSpecific
from rightsmanager.store.database import Store, StoreFailed
from rightsmanager.store.paging import Cut, Page
from rightsmanager.store.tokens import StoredToken

PREFIX: Final = "rmt_"
"""The start of each token, by which scanners for secrets know one."""
MAX_TOKEN_NAME: Final = 64
MAX_LIFETIME_SECONDS: Final = 100 * 366 * 86400
USE_SECONDS: Final = 3600
"""A use is recorded unless one of the last hour is: a request does not cost a write."""

_TOKEN_BYTES: Final = 32
_ID_BYTES: Final = 8


class Role(Enum):
    """The acts that a token allows."""

    READ = "read"
    """Everything is shown but secrets; nothing is changed."""
    OPERATE = "operate"
    """Everything."""


class TokenState(Enum):
    """The state of a token; the first one that is true."""

    REVOKED = "revoked"
    EXPIRED = "expired"
    VALID = "valid"


@dataclass(frozen=True)
class Token:
    """The facts of a token, without its text."""

    token_id: str
    """16 hexadecimal digits."""
    name: str
    role: Role
    state: TokenState
    created_at: datetime
    expires_at: datetime | None
    """None for never."""
    used_at: datetime | None
    """The last use, up to an hour too early."""
    revoked_at: datetime | None


@dataclass(frozen=True)
class NewToken(Token):
    """The facts of a token that was just created, with its text."""

    token: str = field(repr=False)
    """It is not stored and cannot be shown again."""


@dataclass(frozen=True, slots=True)
class TokenKeeper:
    """Creates, checks, lists and revokes tokens; each change is one transaction."""

    store: Store
    clock: Callable[[], int]
    rng: Rng

    def create(self, name: str, role: Role, lifetime_seconds: int | None = None) -> NewToken:
        """Create a token, without an end by default; raises ServiceSpecific for invalid values."""
        refuse_token_values(name, lifetime_seconds)
        text = PREFIX + urlsafe_b64encode(self.rng(_TOKEN_BYTES)).decode().rstrip("=")
        now, digest = self.clock(), digest_of(text)
        expires_at = None if lifetime_seconds is None else now + lifetime_seconds
        stored = StoredToken(_id_of(digest), digest, name, role.value, now, expires_at)
        with self.store.transaction() as transaction:
            if not transaction.tokens.record(stored):
                raise ServiceSpecific("the token's id is taken, try again")
        facts = _facts(stored, now)
        return NewToken(
            **{each.name: getattr(facts, each.name) for each in fields(facts)}, token=text
        )

    def find_page(self, cut: Cut) -> Page[Token]:
        """Return a page of all tokens, oldest first."""
        now = self.clock()
        with self.store.reading() as found:
            page = found.tokens.find_page(cut)
        return Page(tuple(_facts(each, now) for each in page.items), page.next)

    def find_all(self) -> list[Token]:
        """Return all tokens, oldest first."""
        now = self.clock()
        with self.store.reading() as found:
            return [_facts(each, now) for each in found.tokens.find_all()]

    def find_named(self, text: str) -> Token:
        """Return a token by its id, or the one that is not revoked by its name; raises NotFound."""
        tokens = self.find_all()
        for each in tokens:
            if each.token_id == text:
                return each
        named = [each for each in tokens if each.name == text and each.revoked_at is None]
        if len(named) != 1:
            count = "the name of several tokens" if named else "not a token's id or name"
            raise NotFound(f"{text!r} is {count}: see rightsmanager token list")
        return named[0]

    def find(self, token_id: str) -> Token:
        """Return a token by its id; raises NotFound."""
        return _facts(self._expect(token_id), self.clock())

    def revoke(self, token_id: str) -> Token:
        """Revoke a token, which stays in the list; raises NotFound and Conflict."""
        self._expect(token_id)
        with self.store.transaction() as transaction:
            if not transaction.tokens.revoke(token_id, self.clock()):
                raise Conflict(f"token {token_id} is revoked already")
        return self.find(token_id)

    def check(self, text: str) -> StoredToken | None:
        """Return the valid token with this text, or None; records the use."""
        digest = digest_of(text)
        stored = self.find_valid(_id_of(digest))
        # Found by a part of the digest, and compared in constant time: how long a comparison takes
        # tells an attacker nothing about the rest.
        if stored is None or not hmac.compare_digest(stored.digest, digest):
            return None
        self._record_use(stored)
        return stored

    def find_valid(self, token_id: str) -> StoredToken | None:
        """Return the token with this id unless it is missing, revoked or expired."""
        with self.store.reading() as found:
            stored = found.tokens.find(token_id)
        is_valid = stored is not None and _state(stored, self.clock()) is TokenState.VALID
        return stored if is_valid else None

    def _record_use(self, stored: StoredToken) -> None:
        now = self.clock()
        before = now - USE_SECONDS
        if stored.used_at is not None and stored.used_at >= before:
            return
        try:
            with self.store.transaction() as transaction:
                transaction.tokens.record_use(stored.token_id, now, before)
        except StoreFailed:
            # The date is not worth a refusal: another writer may be busy.
            return

    def _expect(self, token_id: str) -> StoredToken:
        with self.store.reading() as found:
            stored = found.tokens.find(token_id)
        if stored is None:
            raise NotFound(f"there is no token {token_id[:32]!r}")
        return stored


def refuse_token_values(name: str, lifetime_seconds: int | None) -> None:
    """Raise ServiceSpecific for values that a token cannot have."""
    if not (0 < len(name) <= MAX_TOKEN_NAME and name.isprintable()):
        raise ServiceSpecific(
            f"the name has {len(name)} characters, expected 1 to {MAX_TOKEN_NAME}, all printable"
        )
    if lifetime_seconds is not None and not 0 < lifetime_seconds <= MAX_LIFETIME_SECONDS:
        raise ServiceSpecific(
            f"the lifetime is {lifetime_seconds} seconds, expected 1 to {MAX_LIFETIME_SECONDS}"
        )


def digest_of(text: str) -> bytes:
    """Return the SHA-256 of a token, 32 bytes."""
    return hashlib.sha256(text.encode()).digest()


def _id_of(digest: bytes) -> str:
    return digest[:_ID_BYTES].hex()


def _state(stored: StoredToken, now: int) -> TokenState:
    if stored.revoked_at is not None:
        return TokenState.REVOKED
    is_expired = stored.expires_at is not None and stored.expires_at <= now
    return TokenState.EXPIRED if is_expired else TokenState.VALID


def _facts(stored: StoredToken, now: int) -> Token:
    return Token(
        stored.token_id,
        stored.name,
        Role(stored.role),
        _state(stored, now),
        date_of(stored.created_at),
        date_of(stored.expires_at),
        date_of(stored.used_at),
        date_of(stored.revoked_at),
    )
