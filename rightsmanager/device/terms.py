"""The terms of a licence, and whether it may be used now.

not yet     before the begin of its Expiration
expired     after the end of its Expiration, or more than its ExpireAfterFirstPlay after that play
removed     at its RemovalDate or later: the client may drop it

An end is the last second in which the licence may be used, as in certificates.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.xmr import License
from rightsmanager.protocol.formats.xmr import objects as xmr
from rightsmanager.protocol.wire import NEVER, Kid, Mid

_CANNOT_PERSIST: Final = 1


class State(Enum):
    """Whether a licence may be used."""

    GOOD = "good"
    NOT_YET = "not yet"
    EXPIRED = "expired"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Terms:
    """A licence's terms; dates are in Unix seconds, None for a missing term."""

    persistent: bool
    playable: bool
    """Whether it grants the Play right."""
    issued: int | None
    begin: int | None
    end: int | None
    first_play: int | None
    """Seconds of use after its first play."""
    removal: int | None
    metering: Mid | None
    secure_stop: Mid | None
    domain: xmr.Domain | None
    root_kid: Kid | None

    def end_after(self, first_played: int | None) -> int | None:
        """Return the last second of use; before the first play `first_played` is missing."""
        ends = [] if self.end is None else [self.end]
        if self.first_play is not None and first_played is not None:
            ends.append(first_played + self.first_play)
        return min(ends, default=None)

    def state(self, now: int, first_played: int | None) -> State:
        """Return whether it may be used at `now`."""
        end = self.end_after(first_played)
        if self.removal is not None and now >= self.removal:
            return State.REMOVED
        if end is not None and now > end:
            return State.EXPIRED
        return State.NOT_YET if self.begin is not None and now < self.begin else State.GOOD


def terms_of(license_: License) -> Terms:
    """Return the terms of a licence."""
    settings = license_.find(xmr.RightsSettings)
    issued = license_.find(xmr.IssueDate)
    expiration = license_.find(xmr.Expiration) or xmr.Expiration(0, NEVER)
    first_play = license_.find(xmr.ExpireAfterFirstPlay)
    removal = license_.find(xmr.RemovalDate)
    metering = license_.find(xmr.Metering)
    secure_stop = license_.find(xmr.SecureStop)
    uplink = license_.find(xmr.UplinkKid)
    return Terms(
        persistent=settings is None or not settings.settings & _CANNOT_PERSIST,
        playable=license_.find(xmr.PlaybackPolicy) is not None,
        issued=None if issued is None else issued.date,
        begin=expiration.begin or None,
        end=None if expiration.end == NEVER else expiration.end,
        first_play=None if first_play is None else first_play.seconds,
        removal=None if removal is None else removal.date,
        metering=None if metering is None else metering.mid,
        secure_stop=None if secure_stop is None else secure_stop.mid,
        domain=license_.find(xmr.Domain),
        root_kid=None if uplink is None else uplink.root_kid,
    )


def refuse_unusable(kid: Kid, terms: Terms, now: int, first_played: int | None) -> None:
    """Raise InvalidMessage, with the reason, if a licence may not be used at `now`."""
    name = f"the licence for KID {kid.text}"
    state = terms.state(now, first_played)
    if state is State.REMOVED:
        raise InvalidMessage(f"{name} was to be removed at {_date(terms.removal)}")
    if state is State.NOT_YET:
        raise InvalidMessage(f"{name} is good from {_date(terms.begin)} on, now is {_date(now)}")
    if state is State.EXPIRED:
        raise InvalidMessage(
            f"{name} expired at {_date(terms.end_after(first_played))}, now is {_date(now)}"
        )


def _date(seconds: int | None) -> str:
    return datetime.fromtimestamp(seconds or 0, UTC).isoformat().replace("+00:00", "Z")
