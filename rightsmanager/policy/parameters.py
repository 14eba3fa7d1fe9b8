"""The table of parameters: what a request may ask of a licence, under which names, and how.

Everything else about parameters is made from it: reading and writing in each spelling, refusals,
help and documentation.

Source: the public test server's pages; the parameters that say so are the project's own.
"""

from collections.abc import Callable
from typing import Final

from rightsmanager.policy.grants import Protection
from rightsmanager.policy.kinds import (
    BOOLEAN,
    DATE,
    FLAG,
    KID,
    RESOLUTION,
    STATUS,
    U16,
    U32,
    guid,
    key,
    number,
    one_of,
    word,
)
from rightsmanager.policy.parameter import Parameter
from rightsmanager.policy.structures import GUIDS, NUMBERS, PROTECTION, RESTRICTIONS, RIGHT
from rightsmanager.protocol.formats.xmr.objects import KeyType
from rightsmanager.protocol.wire import AccountId, Guid, Kid, Mid, TransactionId

MAXIMUM_RESOLUTION: Final = Guid.from_text("9645E831-E01D-4FFF-8342-0A720E3E028F")
ANALOG_COPY_PROTECTION: Final = Guid.from_text("C3FD11C6-F8B7-4D20-B008-1DB17D61F2DA")
UNKNOWN_OUTPUT_SD: Final = Guid.from_text("B621D91F-EDCC-4035-8D4B-DC71760D43E9")
UNKNOWN_OUTPUT_HD: Final = Guid.from_text("786627D8-C2A6-44BE-8F88-08AE255B01A7")

_KEY_TYPE: Final = word(
    {
        "aesctr": KeyType.AES_CTR,
        "aes128bitctr": KeyType.AES_CTR,
        "aescbc": KeyType.AES_CBC,
        "aes128bitcbc": KeyType.AES_CBC,
        "keyexchange": KeyType.KEY_EXCHANGE,
    }
)
_AUDIO_LEVEL: Final = one_of(100, 150, 200, 250, 300)
_SECONDS: Final = number(0, U32, " of seconds")


def _protections(value: Protection) -> tuple[Protection, ...]:
    return (value,)


def _rights(value: object) -> tuple[object, ...]:
    return (value,)


def _resolution(value: tuple[int, int]) -> tuple[Protection, ...]:
    width, height = value
    return (Protection(MAXIMUM_RESOLUTION, height.to_bytes(4, "big") + width.to_bytes(4, "big")),)


def _analog_copy_protection(value: int) -> tuple[Protection, ...]:
    return (Protection(ANALOG_COPY_PROTECTION, value.to_bytes(4, "little")),)


def _if_true(enabler: Guid) -> Callable[[bool], tuple[Guid, ...]]:
    return lambda value: (enabler,) if value else ()


PARAMETERS: Final = (
    Parameter(
        "kid",
        KID,
        "The key that the licence is for; header means one licence for each key of the header.",
        "grant.kid",
        "header",
    ),
    Parameter(
        "contentkey",
        key(16, 16, "16 bytes"),
        "The content key itself.",
        "grant.content_key",
        "stored, else from the key seed",
        aliases=("ck",),
        legacy="ContentKey",
    ),
    Parameter(
        "keyseed",
        key(30, 1024, "at least 30 bytes"),
        "The key seed that the content key is derived from.",
        "grant.key_seed",
        "the server's, at first the Test Key Seed",
        legacy="KeySeed",
    ),
    Parameter(
        "ckt",
        _KEY_TYPE,
        "What the content key encrypts: counter mode, CBC mode, or other keys.",
        "grant.key_type",
        "as the header says, else aesctr",
    ),
    Parameter(
        "sl",
        one_of(150, 2000, 3000),
        "The least security level of a device that may use the licence.",
        "policy.security_level",
        "150",
        legacy="SecurityLevel",
    ),
    Parameter(
        "persist",
        BOOLEAN,
        "Whether the device may store the licence.",
        "policy.persistent",
        "false; in the legacy spelling true",
    ),
    Parameter(
        "simple",
        BOOLEAN,
        "Asks for a simple non-persistent licence: the device keeps it in memory only.",
        "grant.simple",
        "false",
        legacy="UseSimpleNonPersistentLicense",
    ),
    Parameter(
        "playright",
        BOOLEAN,
        "Whether the content may be played.",
        "policy.play",
        "true",
        legacy="PlayRight",
    ),
    Parameter(
        "readright",
        BOOLEAN,
        "Whether the content may be read; not for clients with PlayReady 3 features.",
        "policy.read",
        "false",
    ),
    Parameter(
        "executeright",
        BOOLEAN,
        "Whether the content may be executed; not for clients with PlayReady 3 features.",
        "policy.execute",
        "false",
    ),
    Parameter(
        "copyright",
        BOOLEAN,
        "Whether the content may be copied; not for clients with PlayReady 3 features. "
        "The project's own.",
        "policy.copy",
        "false",
    ),
    Parameter(
        "extendedright",
        RIGHT,
        "A right by its number, with restrictions by theirs.",
        "policy.extended_rights",
        adds=_rights,
        repeats=True,
    ),
    Parameter(
        "begindate",
        DATE,
        "When the licence begins to be good.",
        "policy.begin",
        legacy="BeginDate",
    ),
    Parameter(
        "expiration",
        DATE,
        "When the licence ceases to be good.",
        "policy.expiration",
        "as the server's settings say, at first never",
        aliases=("enddate",),
        legacy="Expiration",
    ),
    Parameter(
        "firstplayexpiration",
        _SECONDS,
        "For how many seconds after the first play the licence is good.",
        "policy.first_play_expiration",
        aliases=("firstexp",),
        legacy="FirstPlayExpiration",
    ),
    Parameter(
        "realtime",
        BOOLEAN,
        "Whether playback ends at the very second that the licence does.",
        "policy.real_time",
        "false",
    ),
    Parameter(
        "removaldate",
        DATE,
        "When the device may drop the licence.",
        "policy.removal_date",
    ),
    Parameter(
        "graceperiod",
        _SECONDS,
        "For how many seconds the licence is good on a device whose clock is not set safely. "
        "The project's own.",
        "policy.grace_period",
    ),
    Parameter(
        "isroot",
        BOOLEAN,
        "Whether leaf licences may be chained to this one.",
        "grant.is_root",
        "false",
    ),
    Parameter(
        "rootid",
        guid(Kid),
        "The key of the root licence that this leaf licence is chained to.",
        "grant.root_kid",
    ),
    Parameter(
        "accountid",
        guid(AccountId),
        "The account whose domain the licence is bound to.",
        "grant.account_id",
        legacy="AccountID",
    ),
    Parameter(
        "tid",
        guid(TransactionId),
        "The transaction under which the device shall acknowledge the licences.",
        "reply.transaction_id",
    ),
    Parameter(
        "mid",
        guid(Mid),
        "The metering service that counts what the licence is used for, and that is told of "
        "stops. The project's own.",
        "policy.metering",
    ),
    Parameter(
        "securestop",
        BOOLEAN,
        "Whether the service is told when playback has stopped.",
        "policy.secure_stop",
        "false",
        legacy="SecureStop",
    ),
    Parameter(
        "sourceid",
        number(0, U32),
        "The protection system that the content was imported from.",
        "policy.source_id",
    ),
    Parameter(
        "restrictedsourceids",
        NUMBERS,
        "Source ids whose content the licence restricts. The project's own.",
        "policy.restricted_source_ids",
    ),
    Parameter(
        "embedding",
        number(0, U16),
        "Whether the licence may be embedded into the content. The project's own.",
        "policy.embedding",
        "1",
    ),
    Parameter(
        "revinfo",
        number(0, U32),
        "The oldest revocation information that the device may have. The project's own.",
        "policy.revocation_info_version",
    ),
    Parameter(
        "policymetadata",
        PROTECTION,
        "A policy that a GUID names. The project's own.",
        "policy.metadata",
        adds=_protections,
        repeats=True,
    ),
    Parameter(
        "caopl",
        _AUDIO_LEVEL,
        "The least protection of compressed digital audio.",
        "levels.compressed_digital_audio",
        legacy="CompressedDigitalAudioOPL",
        needs_play=True,
    ),
    Parameter(
        "ucaopl",
        _AUDIO_LEVEL,
        "The least protection of uncompressed digital audio.",
        "levels.uncompressed_digital_audio",
        legacy="UncompressedDigitalAudioOPL",
        needs_play=True,
    ),
    Parameter(
        "cvopl",
        one_of(400, 500),
        "The least protection of compressed digital video.",
        "levels.compressed_digital_video",
        legacy="CompressedDigitalVideoOPL",
        needs_play=True,
    ),
    Parameter(
        "ucvopl",
        one_of(100, 250, 270, 300),
        "The least protection of uncompressed digital video.",
        "levels.uncompressed_digital_video",
        legacy="UncompressedDigitalVideoOPL",
        needs_play=True,
    ),
    Parameter(
        "avopl",
        one_of(100, 150, 200),
        "The least protection of analog video.",
        "levels.analog_video",
        legacy="AnalogVideoOPL",
        needs_play=True,
    ),
    Parameter(
        "dvop",
        PROTECTION,
        "A protection of digital video outputs.",
        "policy.digital_video",
        legacy="DigitalVideoOutputProtection",
        adds=_protections,
        repeats=True,
        needs_play=True,
    ),
    Parameter(
        "daop",
        PROTECTION,
        "A protection of digital audio outputs.",
        "policy.digital_audio",
        legacy="DigitalAudioOutputProtection",
        adds=_protections,
        repeats=True,
        needs_play=True,
    ),
    Parameter(
        "avop",
        PROTECTION,
        "A protection of analog video outputs.",
        "policy.analog_video",
        legacy="AnalogVideoOutputProtection",
        adds=_protections,
        repeats=True,
        needs_play=True,
    ),
    Parameter(
        "explicitacp",
        number(0, 3),
        "Automatic gain control and color stripe on analog video: short for avop "
        f"{ANALOG_COPY_PROTECTION.text} with the number in little-endian.",
        "policy.analog_video",
        adds=_analog_copy_protection,
        needs_play=True,
    ),
    Parameter(
        "maxres",
        RESOLUTION,
        "The largest resolution that may be decoded: short for dvop "
        f"{MAXIMUM_RESOLUTION.text} with height and width in big-endian.",
        "policy.digital_video",
        adds=_resolution,
        needs_play=True,
    ),
    Parameter(
        "playenablers",
        GUIDS,
        "The technologies that playback may be passed to.",
        "policy.play_enablers",
        legacy="PlayEnablers",
        adds=tuple,
        needs_play=True,
    ),
    Parameter(
        "allowunknownsd",
        BOOLEAN,
        "Whether unknown outputs are allowed in standard definition: short for play enabler "
        f"{UNKNOWN_OUTPUT_SD.text}.",
        "policy.play_enablers",
        "false",
        adds=_if_true(UNKNOWN_OUTPUT_SD),
        needs_play=True,
    ),
    Parameter(
        "allowunknownhd",
        BOOLEAN,
        "Whether unknown outputs are allowed in any definition: short for play enabler "
        f"{UNKNOWN_OUTPUT_HD.text}.",
        "policy.play_enablers",
        "false",
        adds=_if_true(UNKNOWN_OUTPUT_HD),
        needs_play=True,
    ),
    Parameter(
        "extendedrestrictions",
        RESTRICTIONS,
        "Restrictions by their numbers, of the Play right or else of the first right there is.",
        "policy.extended_restrictions",
    ),
    Parameter(
        "errorcode",
        STATUS,
        "Answers with that fault instead of licences.",
        "reply.error_code",
        legacy="ErrorCode",
    ),
    Parameter(
        "revoked",
        BOOLEAN,
        "Answers as if the device were revoked.",
        "reply.revoked",
        "false",
    ),
    Parameter(
        "msg",
        word({"clientinfo": True}),
        "msg:clientinfo answers with a fault whose CustomData says what the server knows of the "
        "client.",
        "reply.client_info",
    ),
    Parameter(
        "clientinfo",
        FLAG,
        "The same as msg:clientinfo.",
        "reply.client_info",
    ),
)
"""Every parameter, in the order of the documentation."""

BY_NAME: Final = {name: parameter for parameter in PARAMETERS for name in parameter.names}
"""By each name in lower case, outside the legacy spelling."""
BY_LEGACY_NAME: Final = {
    parameter.legacy.lower(): parameter for parameter in PARAMETERS if parameter.legacy
}
"""By the name in the legacy spelling, in lower case."""
