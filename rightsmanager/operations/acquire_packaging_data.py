"""AcquirePackagingData: a packager gets content keys, and PlayReady Objects that name them.

Each program has one key in each key period: that in which the offset from the program's start lies.
The same request later gets the same keys. An interval over several periods gets the key of each.
The keys are stored: AcquireLicense issues licences for them.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from rightsmanager.errors import InvalidMessage
from rightsmanager.operations.context import Context
from rightsmanager.operations.hook_keys import ask_hooks_for_keys, build_packager_facts
from rightsmanager.operations.packaging_keys import (
    PackagingKey,
    PackagingOptions,
    build_playready_object,
    named_options,
    refuse_systems,
)
from rightsmanager.operations.program_keys import (
    MAX_KEYS,
    Slot,
    WantedKey,
    record_keys,
    refuse_long_url,
)
from rightsmanager.operations.request import Request
from rightsmanager.policy.rules import DecisionWarning, WarningCode
from rightsmanager.protocol.formats.durations import Duration
from rightsmanager.protocol.formats.pssh import SYSTEM_ID
from rightsmanager.protocol.messages.packaging import (
    OPERATION,
    PackagingRequest,
    ProtectionSystem,
    StreamInformation,
    StreamProtection,
    build_packaging_response,
    parse_packaging_request,
)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a program within one key period."""

    slot: Slot
    offset: Duration
    interval: Duration | None


def acquire_packaging_data(context: Context, request: Request) -> bytes:
    """Return the reply to an AcquirePackagingData request, its keys stored."""
    context.options.packaging_access.refuse_stranger(OPERATION, request)
    asked = parse_packaging_request(request.envelope)
    options = named_options(context.options.packaging, request.query)
    _refuse(asked, options, request.url)
    progress = request.progress
    progress.verified = progress.clock()
    parts = _decide(asked.streams, options.key_period_seconds)
    progress.decided = progress.clock()
    keys = _record(context, options, _want_keys(context, request, parts))
    progress.recorded = progress.clock()
    progress.warnings += _find_warnings(keys, options)
    progress.kids = tuple(key.kid for key in keys.values())
    return _seal(parts, keys, asked, options, request.url)


def _refuse(asked: PackagingRequest, options: PackagingOptions, url: str) -> None:
    refuse_systems(asked.systems)
    refuse_long_url(options, url)


def _decide(streams: Sequence[StreamInformation], key_period: int) -> tuple[Part, ...]:
    """Return the parts whose keys are requested; `key_period` in seconds."""
    parts: list[Part] = []
    for stream in streams:
        periods = _periods(stream, key_period)
        if len(parts) + len(periods) > MAX_KEYS:
            raise InvalidMessage(
                f"the request is for more than {MAX_KEYS} keys: each key period of a stream "
                f"has one, and a period is {key_period} seconds"
            )
        parts += _parts(stream, periods, key_period)
    return tuple(parts)


def _want_keys(
    context: Context, request: Request, parts: Sequence[Part]
) -> Mapping[Slot, WantedKey]:
    """Return the key of each slot as it is requested, or as the hooks choose it."""
    slots = dict.fromkeys(part.slot for part in parts)
    wanted = tuple(map(WantedKey, slots))
    if context.hooks.is_used:
        facts = build_packager_facts(OPERATION, request)
        wanted = ask_hooks_for_keys(context, request.progress, facts, wanted)
    return dict(zip(slots, wanted, strict=True))


def _record(
    context: Context, options: PackagingOptions, wanted: Mapping[Slot, WantedKey]
) -> Mapping[Slot, PackagingKey]:
    """Return the key of each slot, creating those that are missing."""
    keys = record_keys(context, options, tuple(wanted.values()))
    return dict(zip(wanted, keys, strict=True))


def _find_warnings(
    keys: Mapping[Slot, PackagingKey], options: PackagingOptions
) -> tuple[DecisionWarning, ...]:
    """Return a warning if a packager for cbcs may get keys for AES-CTR: a request has no scheme."""
    if options.is_key_type_named or all(key.key_type != "aesctr" for key in keys.values()):
        return ()
    text = (
        "the header and its licences name AES-CTR; a packager for cbcs needs algid=AESCBC in its "
        "URL or packaging.algid, one for cenc may name algid=AESCTR"
    )
    return (DecisionWarning.of(WarningCode.ALGID, text),)


def _seal(
    parts: Sequence[Part],
    keys: Mapping[Slot, PackagingKey],
    asked: PackagingRequest,
    options: PackagingOptions,
    url: str,
) -> bytes:
    systems = {
        key: _systems(asked.systems, build_playready_object(key, options, url))
        for key in keys.values()
    }
    return build_packaging_response(
        tuple(
            StreamProtection(
                program=part.slot.program,
                offset=part.offset,
                interval=part.interval,
                kid=keys[part.slot].kid,
                key=keys[part.slot].key,
                systems=systems[keys[part.slot]],
            )
            for part in parts
        )
    )


def _systems(asked: Sequence[uuid.UUID], data: bytes) -> tuple[ProtectionSystem, ...]:
    """Return the data of each system, PlayReady's first: packagers use the first."""
    others = (system for system in asked if system != SYSTEM_ID)
    return (
        ProtectionSystem(SYSTEM_ID, data),
        *(ProtectionSystem(system, b"") for system in others),
    )


def _periods(stream: StreamInformation, key_period: int) -> range:
    if key_period == 0:
        return range(1)
    start = stream.offset.seconds
    end = start + (stream.interval.seconds if stream.interval else 0)
    first = floor(start / key_period)
    return range(first, max(first + 1, ceil(end / key_period)))


def _parts(stream: StreamInformation, periods: range, key_period: int) -> Iterator[Part]:
    """Yield the part of each period; a single one as it was requested."""
    if stream.interval is None or len(periods) == 1:
        yield Part(Slot(stream.program, periods[0]), stream.offset, stream.interval)
        return
    end = stream.offset.seconds + stream.interval.seconds
    for period in periods:
        start = max(stream.offset.seconds, Fraction(period * key_period))
        length = min(end, Fraction((period + 1) * key_period)) - start
        offset = stream.offset if period == periods[0] else Duration.of(start)
        yield Part(Slot(stream.program, period), offset, Duration.of(length))
