"""The explanation of a request: the licences it would get, its problems and warnings.

The client is unknown, so anything that depends on its certificate is a warning. Without content,
the requested KIDs are assumed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

from rightsmanager.errors import Refusal, ServiceSpecific, StatusCode
from rightsmanager.inspection.description import Check, Description, Outcome
from rightsmanager.inspection.licenses import describe_objects
from rightsmanager.inspection.questions import Question, find_question, header_of
from rightsmanager.inspection.sources import describe_parameters
from rightsmanager.inspection.spellings import Translation, translate
from rightsmanager.inspection.warnings import FAULTS, find_warnings
from rightsmanager.policy.decision import Decision, apply_level, decide_grants
from rightsmanager.policy.defaults import NO_DOMAIN, Clocks, DefaultDomain, LicenseDefaults
from rightsmanager.policy.grants import Grant, Policy
from rightsmanager.policy.licenses import policy_objects
from rightsmanager.policy.parsed_values import MAX_TEXT, Group, quote
from rightsmanager.policy.query import (
    ParsedRequest,
    Spelling,
    parse_request,
    read_group,
    split_custom_data,
    split_query,
)
from rightsmanager.policy.requested_licenses import RequestedLicense
from rightsmanager.policy.rules import Rules
from rightsmanager.policy.value_types import HEADER, U16, InvalidValue, read_number
from rightsmanager.protocol.formats.wrmheader import Header, HeaderKid, Version
from rightsmanager.protocol.wire import AccountId, Kid, Mid

ASSUMED_KID: Final = Kid(bytes(16))
"""A placeholder for the header's KID if no header is given."""
UNKNOWN_MID: Final = Mid(bytes(16))
"""A placeholder for the server's own metering id if it is unknown."""
_DEFAULT_POLICY: Final = "The request names no parameter: this is the server's default policy."
MAX_PROBLEMS: Final = 20
MAX_KIDS: Final = 100


@dataclass(frozen=True, slots=True)
class Explanation:
    """The explanation of a request."""

    problems: tuple[str, ...] = ()
    """The reasons for a refusal with 0x8004c604; empty if it is served."""
    fault: str | None = None
    """The fault that it asks for, if any."""
    licenses: tuple[Description, ...] = ()
    parameters: tuple[Description, ...] = ()
    """For each requested licence, the field that each parameter sets, and the value's source."""
    warnings: tuple[str, ...] = ()
    translations: tuple[Translation, ...] = ()

    @property
    def refused(self) -> bool:
        """True if the request is refused."""
        return bool(self.problems)

    @property
    def description(self) -> Description:
        """The whole explanation as one tree, with a mask in place of each key.

        Problems are failed checks of its root.
        """
        fault = () if self.fault is None else (Description("fault", self.fault),)
        children = (*fault, *self.parameters, *self.licenses, *self._spellings())
        return Description("explanation", None, self._outcome(), children, tuple(self._checks()))

    def _outcome(self) -> str:
        if self.problems:
            return f"refused with {StatusCode.SERVICE_SPECIFIC.hex}"
        count = len(self.licenses)
        return f"{count or 'no'} {'licences' if count > 1 else 'licence'}"

    def _checks(self) -> Iterator[Check]:
        for problem in self.problems:
            yield Check("request", Outcome.FAILED, problem)
        for warning in self.warnings:
            yield Check("request", Outcome.WARNING, warning)
        if self.licenses and not self.translations:
            yield Check("request", Outcome.OK, _DEFAULT_POLICY)

    def _spellings(self) -> tuple[Description, ...]:
        spellings = tuple(
            Description(each.spelling.value, each.masked)
            if each.is_possible
            else Description(each.spelling.value, meaning=f"not possible: {each.text}")
            for each in self.translations
        )
        return (Description("spellings", children=spellings),) if spellings else ()


@dataclass(frozen=True, slots=True)
class Defaults:
    """A server's values for everything that a request does not name."""

    policy: Policy = field(default_factory=Policy)
    own_mid: Mid = UNKNOWN_MID
    """The server's own metering id."""
    domain: DefaultDomain = NO_DOMAIN
    """The domain to bind to when the request names no account."""
    rules: Rules = field(default_factory=Rules)
    find_policies: Callable[[Sequence[Kid]], Mapping[Kid, Policy]] = lambda _kids: {}
    """Returns the policies of KIDs whose keys have a track, in place of `policy`."""

    @property
    def license_defaults(self) -> LicenseDefaults:
        """All defaults that a server decides on a request with."""
        return LicenseDefaults(self.policy, self.domain, self.rules)


def explain(question: Question, defaults: Defaults, now: int) -> Explanation:
    """Explain a request to a server with these defaults; `now` in Unix seconds."""
    try:
        request = parse_request(
            question.query, question.custom_data, defaults.rules.unknown_parameters
        )
    except ServiceSpecific as refusal:
        return Explanation(_problems(question, refusal))
    requested_licenses = request.licenses
    translations = tuple(
        translate(requested_licenses, spelling) for spelling in Spelling if requested_licenses
    )
    parameters = describe_parameters(request, question, defaults.policy)
    fault = _fault(requested_licenses)
    header = question.header or _assumed_header(requested_licenses)
    try:
        decision = Decision(()) if fault else _decide(request, question, header, defaults, now)
    except ServiceSpecific as refusal:
        return Explanation(
            (_with_any_kid(refusal.text),), parameters=parameters, translations=translations
        )
    return Explanation(
        fault=fault,
        parameters=parameters,
        licenses=tuple(
            _describe(grant, number, now, defaults.own_mid)
            for number, grant in enumerate(decision.grants, 1)
        ),
        warnings=(
            *(_with_any_kid(warning.text) for warning in decision.warnings or request.warnings),
            *find_warnings(question, requested_licenses, decision.grants, now),
        ),
        translations=translations,
    )


def _decide(
    request: ParsedRequest, question: Question, header: Header, defaults: Defaults, now: int
) -> Decision:
    kids = [entry.kid for entry in header.kids if entry.kid != ASSUMED_KID]
    given = defaults.license_defaults
    if kids:
        given = replace(given, by_kid=defaults.find_policies(kids))
    decision = decide_grants(request, header, given, Clocks(now, now))
    if question.device_level is None:
        return decision
    return apply_level(decision, question.device_level, defaults.rules)


def _assumed_header(requested_licenses: Sequence[RequestedLicense]) -> Header:
    """Return a header with the requested KIDs, except those of root licences."""
    named: dict[Kid, None] = {}
    for requested in requested_licenses or ((),):
        values: dict[str, Any] = {parameter.name: value for parameter, value in requested}
        kid = values.get("kid", HEADER)
        if kid == HEADER:
            named[ASSUMED_KID] = None
        elif not values.get("isroot"):
            named[kid] = None
    kids = tuple(HeaderKid(kid, None) for kid in named or (ASSUMED_KID,))
    return Header(Version.V4_3, kids)


def _with_any_kid(text: str) -> str:
    return text.replace(f"KID {ASSUMED_KID.text}", "each KID of the header")


# --- what is wrong --------------------------------------------------------------------------------


def _problems(question: Question, first: ServiceSpecific) -> tuple[str, ...]:
    """Return all problems of single values, or else the first problem found."""
    texts = dict.fromkeys(islice(_refused_items(question), MAX_PROBLEMS))
    return tuple(texts) if first.text in texts else (first.text, *texts)


def _refused_items(question: Question) -> Iterator[str]:
    for spelling, group in _groups(question):
        for item in group.items:
            try:
                read_group(spelling, Group((item,)))
            except ServiceSpecific as refusal:
                yield refusal.text


def _groups(question: Question) -> list[tuple[Spelling, Group]]:
    try:
        split = split_query(question.query)
        if not split.groups and question.custom_data:
            split = split_custom_data(question.custom_data)
    except ServiceSpecific:
        return []
    return [(split.spelling, group) for group in split.groups]


# --- faults on request ----------------------------------------------------------------------------


def _fault(requested_licenses: Sequence[RequestedLicense]) -> str | None:
    """Return the fault that a request asks for, of the first licence that does."""
    for requested in requested_licenses:
        asked = {parameter.sets: (parameter.name, value) for parameter, value in requested if value}
        place = next((place for place in FAULTS if place in asked), None)
        if place is not None:
            name, value = asked[place]
            status = _STATUS.get(place) or value
            words = status.name.replace("_", " ").lower()
            return f"{name} answers with the fault {status.hex}, {words}"
    return None


_STATUS: Final[dict[str, StatusCode]] = {
    "reply.client_info": StatusCode.SERVICE_SPECIFIC,
    "reply.revoked": StatusCode.DEVICE_CERTIFICATE_REVOKED,
}
"""The answers of parameters by their fields; other parameters answer with their value."""


# --- licences -------------------------------------------------------------------------------------


def _describe(grant: Grant, number: int, now: int, own_mid: Mid) -> Description:
    kind = "root licence" if grant.is_root else "licence"
    chained = () if grant.root_kid is None else (_kid("chained to root", grant.root_kid),)
    account_id = grant.account_id
    bound = () if account_id is None else (_domain(account_id),)
    key_type = grant.key_type
    return Description(
        f"{kind} {number}",
        meaning="persistent" if grant.policy.persistent else "non-persistent",
        children=(
            _kid("KID", grant.kid),
            Description("content key", _key_source(grant)),
            Description("key type", _KEY_TYPE if key_type is None else key_type.name),
            *chained,
            *bound,
            *_stream(grant),
            *describe_objects(policy_objects(grant.policy, now, own_mid)),
        ),
    )


_KEY_TYPE: Final = "as stored for the KID, else AES_CTR"


def _kid(name: str, kid: Kid) -> Description:
    if kid == ASSUMED_KID:
        return Description(name, HEADER, "one licence for each KID of the header")
    return Description(name, kid.text, kid.base64)


def _stream(grant: Grant) -> tuple[Description, ...]:
    """Return the objects that the server adds to a licence with secure stop."""
    if not grant.policy.secure_stop:
        return ()
    holder = "device" if grant.account_id is None else "account"
    return (
        Description("secure stop 2 key", "the one that the server has for the KID"),
        Description("stream", f"opens one of the {holder}"),
    )


def _domain(account_id: AccountId) -> Description:
    return Description(
        "bound to domain",
        f"account {account_id.text}, at its newest revision",
        account_id.base64,
    )


def _key_source(grant: Grant) -> str:
    if grant.content_key is not None:
        return "given in the request"
    if grant.key_seed is not None:
        return "made from the key seed in the request"
    return "the one that the server has for the KID"


# --- forms ----------------------------------------------------------------------------------------


def explain_form(  # noqa: PLR0913 -- the form's four fields and the server's two
    *, asked: str, custom_data: str, kids: str, level: str, defaults: Defaults, now: int
) -> Explanation:
    """Explain a request.

    An invalid field is one of the problems. asked: any input of `find_question`. custom_data:
    replaces the one found there. kids: separated by white space or commas. level: the device's
    security level, or empty.
    """
    try:
        question = _question(asked, custom_data, kids, level)
    except Refusal as refusal:
        return Explanation((refusal.text,))
    return explain(question, defaults, now)


def _question(asked: str, custom_data: str, kids: str, level: str) -> Question:
    if len(asked) + len(custom_data) > MAX_TEXT:
        raise ServiceSpecific(f"the form has more than {MAX_TEXT} characters")
    found = find_question(asked.encode(errors="replace"))
    named = kids.replace(",", " ").split()
    if len(named) > MAX_KIDS:
        raise ServiceSpecific(f"{len(named)} KIDs are named, expected at most {MAX_KIDS}")
    return replace(
        found,
        custom_data=custom_data or found.custom_data,
        header=header_of(tuple(map(Kid.parse, named))) if named else found.header,
        device_level=_level(level),
    )


def _level(text: str) -> int | None:
    if not text.strip():
        return None
    try:
        return read_number(text.strip(), 0, U16)
    except InvalidValue:
        raise ServiceSpecific(
            f"the device's security level is {quote(text)}, expected a number from 0 to {U16}"
        ) from None
