"""The table of toxics: the kinds of faults, their parameters and what a correct client does.

Each toxic has a place, and a request is touched by one fault at each place:

    operation   in place of the operation's work, or within it
    reply       the finished reply
    delivery    the way of the reply to the client
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from rightsmanager.lab.faults import values
from rightsmanager.lab.faults.values import Value
from rightsmanager.protocol.messages.operations import OPERATIONS

MAX_DELAY_MS: Final = 120_000
"""The longest delay of a reply, in milliseconds; also of a whole slow reply."""
MAX_BODY: Final = 48 * 1024
"""The longest scripted body, in bytes: the API's requests have at most 64 KiB."""
MAX_TEXT: Final = 4096
MAX_URL: Final = 2048
MIN_RATE: Final = 1
MAX_RATE: Final = 100_000_000


class Place(Enum):
    """The place at which a toxic acts."""

    OPERATION = "operation"
    REPLY = "reply"
    DELIVERY = "delivery"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a toxic."""

    name: str
    read: values.Read
    expected: str
    """The values, for documentation."""
    default: Value | None = None
    is_required: bool = False


def _never(_parameters: Mapping[str, Value]) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Toxic:
    """A kind of fault."""

    name: str
    place: Place
    effect: str
    """The difference to a server without it."""
    client: str
    """The behaviour of a correct client."""
    source: str
    parameters: tuple[Parameter, ...] = ()
    refuses: bool = False
    """Whether it refuses the request in place of the operation."""
    operations: tuple[str, ...] = tuple(OPERATIONS)
    """The operations that it can act on."""
    contradiction: Callable[[Mapping[str, Value]], str | None] = _never
    """Returns the reason that the given parameters contradict each other, None if they do not."""

    def parameter(self, name: str) -> Parameter:
        """Return one of its parameters."""
        return next(each for each in self.parameters if each.name == name)


# --- parameters -----------------------------------------------------------------------------------

_STATUS: Final = Parameter(
    "status", values.status, "a status code such as 0x8004c600, or its name", is_required=True
)
_REFUSAL: Final = (
    _STATUS,
    Parameter("text", values.text(MAX_TEXT), "the text of the fault"),
    Parameter("custom_data", values.text(MAX_TEXT), "CustomData of the fault"),
    Parameter("redirect_url", values.text(MAX_URL), "RedirectUrl of the fault"),
    Parameter("account", values.account, "AccountID, a GUID"),
    Parameter("service", values.service, "DomainServiceID, a GUID; the server's if account is set"),
    Parameter("friendly_name", values.text(256), "FriendlyName"),
    Parameter("domain_url", values.text(MAX_URL), "DomainURL; the request's if account is set"),
)
_RESET: Final = Parameter("reset", values.boolean, "true to reset, false to close", default=False)
_BY_SECONDS: Final = Parameter(
    "by_seconds", values.whole(1, 10 * 366 * 86400), "seconds, 1 or more", default=3600
)
_OTHER_KID: Final = Parameter("other_kid", values.kid, "a KID")
_BYTES: Final = Parameter("bytes", values.whole(0, 1 << 24), "bytes that stay; half of them")


def _refuse_bodies(parameters: Mapping[str, Value]) -> str | None:
    if ("query" in parameters) == ("body" in parameters):
        return "query and body are both or neither given, expected one of them"
    if "query" in parameters and not {"content_type", "http_status"}.isdisjoint(parameters):
        return "content_type and http_status are of a body, and query is given"
    return None


def _refuse_distributions(parameters: Mapping[str, Value]) -> str | None:
    if parameters.get("distribution", "fixed") == "fixed" and "jitter_ms" in parameters:
        return "jitter_ms is given, expected a distribution other than fixed with it"
    return None


def _refuse_locations(parameters: Mapping[str, Value]) -> str | None:
    status = int(parameters.get("http_status", 503))
    if "location" in parameters and not 300 <= status < 400:  # noqa: PLR2004 -- HTTP's redirects
        return f"location is given with {status}, expected a status from 300 to 399"
    return None


# --- the table ------------------------------------------------------------------------------------

_SERVER_ERRORS: Final = "PlayReady test server, page Server Errors"
_HTTP: Final = "RFC 9110"
_HTTP1: Final = "RFC 9112, 8"
_SOAP: Final = "SOAP 1.1, 6"
_WIRE: Final = "published structure of licences"
_PROFILE: Final = "the simulated device"
_LICENSE: Final = ("AcquireLicense",)
_WITH_CHAIN: Final = tuple(
    name for name in OPERATIONS if name not in ("ProcessDeleteLicenseData", "AcquirePackagingData")
)
"""Operations whose replies are signed, or can be."""

_TABLE: Final = (
    Toxic(
        "status",
        Place.OPERATION,
        "Refuses the request with a status code; nothing is recorded.",
        "0x8004c600: at most three silent retries. c605: joins the domain and asks again. c606: "
        "renews it. c60a: leaves or joins again. c60d: follows RedirectUrl. c065: stops.",
        _SERVER_ERRORS,
        _REFUSAL,
        refuses=True,
    ),
    Toxic(
        "fault-with-200",
        Place.OPERATION,
        "The same, with HTTP 200 in place of 500.",
        "Reads the Body: it is the same fault.",
        _SOAP,
        _REFUSAL,
        refuses=True,
    ),
    Toxic(
        "http-status",
        Place.OPERATION,
        "Answers with an HTTP status and no envelope; nothing is recorded.",
        "Takes no licence. 503, 429: waits as Retry-After says. 307, 308: posts to Location. Other "
        "4xx: does not repeat.",
        _HTTP,
        (
            Parameter("http_status", values.http_status, "200 to 599", default=503),
            Parameter("retry_after", values.whole(0, 86400), "seconds"),
            Parameter("location", values.header, "a URL, with 3xx"),
            Parameter("body", values.text(MAX_TEXT), "text", default=""),
        ),
        contradiction=_refuse_locations,
        refuses=True,
    ),
    Toxic(
        "cut-before",
        Place.OPERATION,
        "Cuts the connection without a reply; nothing is recorded.",
        "Repeats the request over a new connection.",
        _HTTP1,
        (_RESET,),
        refuses=True,
    ),
    Toxic(
        "answer",
        Place.OPERATION,
        "Answers as if the URL had this query, or with this body.",
        "Depends on the answer.",
        _PROFILE,
        (
            Parameter("query", values.text(MAX_TEXT), "a query without its question mark"),
            Parameter("body", values.base64(MAX_BODY), "base64 of the HTTP body"),
            Parameter(
                "content_type", values.header, "of the body", default="text/xml; charset=utf-8"
            ),
            Parameter("http_status", values.http_status, "of the body", default=200),
        ),
        contradiction=_refuse_bodies,
        refuses=True,
    ),
    Toxic(
        "license-mac",
        Place.OPERATION,
        "Changes the last byte of each licence's MAC.",
        "Refuses the licence.",
        _WIRE,
        operations=_LICENSE,
    ),
    Toxic(
        "wrong-nonce",
        Place.OPERATION,
        "Gives licences that cannot persist another rights id, and a LicenseNonce another value; "
        "MAC and signature are right.",
        "Refuses the reply: it is not to its challenge.",
        _WIRE,
        operations=_LICENSE,
    ),
    Toxic(
        "license-kid",
        Place.OPERATION,
        "Issues the licences for another KID; MAC and signature are right.",
        "Does not play: it has no licence for its KID.",
        _WIRE,
        (_OTHER_KID,),
        operations=_LICENSE,
    ),
    Toxic(
        "content-key",
        Place.OPERATION,
        "Issues the key of another KID, or a random one; MAC and signature are right.",
        "Refuses the licence by the checksum of the header, or fails to decrypt.",
        _WIRE,
        (_OTHER_KID,),
        operations=_LICENSE,
    ),
    Toxic(
        "license-expired",
        Place.OPERATION,
        "Ends the licences in the past.",
        "Does not play.",
        _WIRE,
        (_BY_SECONDS,),
        operations=_LICENSE,
    ),
    Toxic(
        "license-not-yet-valid",
        Place.OPERATION,
        "Begins the licences in the future.",
        "Does not play before.",
        _WIRE,
        (_BY_SECONDS,),
        operations=_LICENSE,
    ),
    Toxic(
        "license-order",
        Place.OPERATION,
        "Reverses the licences of a reply with two or more.",
        "Refuses licences that cannot persist: their rights ids count up from the nonce.",
        _WIRE,
        operations=_LICENSE,
    ),
    Toxic(
        "license-missing",
        Place.OPERATION,
        "Leaves a licence out of the reply.",
        "Does not play that KID; refuses the reply if the first is missing and others cannot "
        "persist.",
        _WIRE,
        (Parameter("which", values.one_of("first", "last"), "first or last", default="last"),),
        operations=_LICENSE,
    ),
    Toxic(
        "foreign-signer",
        Place.OPERATION,
        "Signs the reply with a key whose chain ends in another root.",
        "Refuses the reply.",
        _WIRE,
        operations=_WITH_CHAIN,
    ),
    Toxic(
        "expired-signer",
        Place.OPERATION,
        "Signs the reply with a key whose certificate has expired.",
        "Refuses the reply.",
        _WIRE,
        operations=_WITH_CHAIN,
    ),
    Toxic(
        "stale-revocation-list",
        Place.OPERATION,
        "Adds revocation information that is older than the client's.",
        "Keeps its own, and refuses the reply.",
        _PROFILE,
        operations=_LICENSE,
    ),
    Toxic(
        "older-reply",
        Place.OPERATION,
        "Answers with the reply to this client's last request to the operation; the request is "
        "recorded. Acts from the second request on.",
        "Refuses the reply: nonce, transaction or session id are not its own.",
        _WIRE,
    ),
    Toxic(
        "truncated",
        Place.REPLY,
        "Sends the beginning of the body, with its length as Content-Length.",
        "Refuses the reply: it is not XML.",
        _SOAP,
        (_BYTES,),
    ),
    Toxic(
        "corrupted",
        Place.REPLY,
        "Replaces bytes of the body at a random place by bytes that are not UTF-8.",
        "Refuses the reply: it is not XML.",
        _SOAP,
        (Parameter("bytes", values.whole(1, 65536), "bytes to replace", default=16),),
    ),
    Toxic(
        "content-type",
        Place.REPLY,
        "Names another Content-Type.",
        "Refuses the reply: it is not SOAP.",
        _SOAP,
        (Parameter("content_type", values.header, "of the reply", default="text/html"),),
    ),
    Toxic(
        "prefixed-xml",
        Place.REPLY,
        "Gives the elements around the signed one, or of a fault's detail, namespace prefixes.",
        "Reads it alike.",
        "Namespaces in XML 1.0, 6",
    ),
    Toxic(
        "reply-lost",
        Place.REPLY,
        "Records the request, and cuts the connection without a reply.",
        "Repeats the request with the same transaction or session id.",
        _HTTP1,
        (_RESET,),
    ),
    Toxic(
        "cut-in-reply",
        Place.REPLY,
        "Cuts the connection within the body.",
        "Takes no part of the reply, and repeats the request.",
        _HTTP1,
        (_BYTES, _RESET),
    ),
    Toxic(
        "cut-after",
        Place.DELIVERY,
        "Cuts the connection after the reply, without saying so.",
        "Uses the reply; its next request needs a new connection.",
        _HTTP1,
        (_RESET,),
    ),
    Toxic(
        "latency",
        Place.DELIVERY,
        "Records the request, and sends the reply late.",
        "Waits; after its timeout repeats the request with the same ids.",
        _HTTP,
        (
            Parameter(
                "milliseconds",
                values.number(0, MAX_DELAY_MS),
                f"0 to {MAX_DELAY_MS}; the mean of a distribution",
                is_required=True,
            ),
            Parameter(
                "distribution",
                values.one_of("fixed", "uniform", "normal", "exponential"),
                "fixed, uniform, normal or exponential",
                default="fixed",
            ),
            Parameter(
                "jitter_ms",
                values.number(0, MAX_DELAY_MS),
                "half the width of uniform, the standard deviation of normal",
                default=0.0,
            ),
        ),
        contradiction=_refuse_distributions,
    ),
    Toxic(
        "slow-reply",
        Place.DELIVERY,
        "Sends the body slowly, in small pieces.",
        "Waits while bytes arrive.",
        _HTTP,
        (
            Parameter(
                "bytes_per_second",
                values.whole(MIN_RATE, MAX_RATE),
                f"{MIN_RATE} to {MAX_RATE}",
                is_required=True,
            ),
        ),
    ),
)

TOXICS: Final[Mapping[str, Toxic]] = {toxic.name: toxic for toxic in _TABLE}
"""The toxics by name, in the order in which they are listed."""
