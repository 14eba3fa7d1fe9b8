"""The operator's rules for requests, and the warnings of what they let pass."""

from dataclasses import dataclass
from enum import StrEnum


class UnknownParameters(StrEnum):
    """The treatment of names in a query that are no parameters, such as tokens of players."""

    WARN = "warn"
    REFUSE = "refuse"


class AboveLevel(StrEnum):
    """The treatment of a licence above the device's security level."""

    DROP = "drop"
    """Issue the other licences; refuse the request if none is left."""
    REFUSE = "refuse"
    ISSUE = "issue"


class RemovalDateConflicts(StrEnum):
    """The treatment of a removal date in a licence that must not have one."""

    REFUSE = "refuse"
    WARN = "warn"


class OtherKids(StrEnum):
    """The treatment of a KID that the request names and the header does not have."""

    DROP = "drop"
    """Issue the other licences; refuse the request if none is left."""
    ISSUE = "issue"
    """Issue it too, such as for the next track of an album."""


class AesCbc(StrEnum):
    """The clients that get keys for AES-CBC."""

    DECLARED = "declared"
    """Those whose challenge has the feature AESCBC, as the published server does."""
    ANY = "any"


class SwappedKid(StrEnum):
    """The treatment of a KID without a stored key whose byte-swapped form has one."""

    REFUSE = "refuse"
    SERVE = "serve"
    """Issue the stored key."""
    WARN = "warn"
    """Issue the key that the seed gives."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules by which requests are judged."""

    unknown_parameters: UnknownParameters = UnknownParameters.WARN
    above_level: AboveLevel = AboveLevel.DROP
    removal_date_conflicts: RemovalDateConflicts = RemovalDateConflicts.REFUSE
    other_kids: OtherKids = OtherKids.DROP
    aes_cbc: AesCbc = AesCbc.DECLARED
    max_kids: int = 1000
    """The most KIDs in a header, and the most licences in a reply."""
    max_clock_difference_seconds: int = 0
    """The largest difference between the client's clock and the server's; 0 for any."""


class WarningCode(StrEnum):
    """The reason of a warning."""

    UNKNOWN_PARAMETER = "unknown-parameter"
    CUSTOM_DATA = "custom-data"
    KID_NOT_IN_HEADER = "kid-not-in-header"
    ABOVE_LEVEL = "above-level"
    REMOVAL_DATE = "removal-date"
    CLIENT = "client"
    SWAPPED_KID = "swapped-kid"
    ALGID = "algid"
    CHECKSUM = "checksum"
    WRAPPED = "wrapped"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class DecisionWarning:
    """A part of a request that had no effect, or a licence that the device may not use."""

    code: WarningCode
    text: str
    """One line of printable ASCII."""

    @classmethod
    def of(cls, code: WarningCode, text: str) -> "DecisionWarning":
        """Return the warning with other characters escaped."""
        # An HTTP header shows it, and it may quote a name in the request.
        return cls(code, text.replace("…", "...").encode("ascii", "backslashreplace").decode())
