"""The table of parameters: names, types of value, and the fields of a licence that they set.

Parsing and writing in each spelling, refusals, help and documentation are derived from it.

Source: the public test server's pages, except for the parameters marked as the project's own.
"""

from collections.abc import Callable
from typing import Final

from rightsmanager.policy.grants import Protection
from rightsmanager.policy.parameter import Parameter
from rightsmanager.policy.structures import GUIDS, NUMBERS, PROTECTION, RESTRICTIONS, RIGHT
from rightsmanager.policy.value_types import (
    BOOLEAN,
    DATE,
    DATE_OR_CLIENT,
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
from rightsmanager.protocol.formats.xmr.objects import KeyType
from rightsmanager.protocol.wire import AccountId, Guid, Kid, Mid, TransactionId

MAXIMUM_RESOLUTION: Final = Guid.from_text("9645E831-E01D-4FFF-8342-0A720E3E028F")
ANALOG_COPY_PROTECTION: Final = Guid.from_text("C3FD11C6-F8B7-4D20-B008-1DB17D61F2DA")
UNKNOWN_OUTPUT_SD: Final = Guid.from_text("B621D91F-EDCC-4035-8D4B-DC71760D43E9")
UNKNOWN_OUTPUT_HD: Final = Guid.from_text("786627D8-C2A6-44BE-8F88-08AE255B01A7")

# The published server also has keyexchange: licences of their own kind, which this one lacks.
_KEY_TYPE: Final = word(
    {
        "aesctr": KeyType.AES_CTR,
        "aes128bitctr": KeyType.AES_CTR,
        "aescbc": KeyType.AES_CBC,
        "aes128bitcbc": KeyType.AES_CBC,
    }
)
# Any number: clients map ranges, and a test may want a level that clients must refuse.
_OUTPUT_LEVEL: Final = number(0, U16)
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
        "The KID of the licence; header means one licence for each KID of the header.",
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
        "The key seed to derive the content key from.",
        "grant.key_seed",
        "the server's, by default the Test Key Seed",
        legacy="KeySeed",
    ),
    Parameter(
        "ckt",
        _KEY_TYPE,
        "The use of the content key: counter mode or CBC mode.",
        "grant.key_type",
        "as the header says, else aesctr",
    ),
    Parameter(
        "sl",
        one_of(150, 2000, 3000),
        "The minimum security level of the device.",
        "policy.security_level",
        "150",
        legacy="SecurityLevel",
    ),
    Parameter(
        "persist",
        BOOLEAN,
        "Allows the device to store the licence.",
        "policy.persistent",
        "false; in the legacy spelling true",
    ),
    Parameter(
        "simple",
        BOOLEAN,
        "Requests a simple non-persistent licence, which the device keeps in memory only.",
        "grant.simple",
        "false",
        legacy="UseSimpleNonPersistentLicense",
    ),
    Parameter(
        "playright",
        BOOLEAN,
        "Grants the right to play the content.",
        "policy.play",
        "true",
        legacy="PlayRight",
    ),
    Parameter(
        "readright",
        BOOLEAN,
        "Grants the right to read the content; not for clients with PlayReady 3 features.",
        "policy.read",
        "false",
    ),
    Parameter(
        "executeright",
        BOOLEAN,
        "Grants the right to execute the content; not for clients with PlayReady 3 features.",
        "policy.execute",
        "false",
    ),
    Parameter(
        "copyright",
        BOOLEAN,
        "Grants the right to copy the content; not for clients with PlayReady 3 features. "
        "The project's own.",
        "policy.copy",
        "false",
    ),
    Parameter(
        "extendedright",
        RIGHT,
        "A right and its restrictions, by number.",
        "policy.extended_rights",
        adds=_rights,
        repeats=True,
    ),
    Parameter(
        "begindate",
        DATE_OR_CLIENT,
        "The date from which the licence is valid; client means the time of the client's clock.",
        "policy.begin",
        legacy="BeginDate",
    ),
    Parameter(
        "expiration",
        DATE,
        "The date until which the licence is valid.",
        "policy.expiration",
        "the server's setting, by default never",
        aliases=("enddate",),
        legacy="Expiration",
    ),
    Parameter(
        "firstplayexpiration",
        _SECONDS,
        "Seconds from the first play until the licence expires.",
        "policy.first_play_expiration",
        aliases=("firstexp",),
        legacy="FirstPlayExpiration",
    ),
    Parameter(
        "realtime",
        BOOLEAN,
        "Ends playback when the licence expires; otherwise it goes on to its end.",
        "policy.real_time",
        "false",
        legacy="RealTimeExpiration",
    ),
    Parameter(
        "removaldate",
        DATE,
        "The date from which the device may delete the licence.",
        "policy.removal_date",
    ),
    Parameter(
        "graceperiod",
        _SECONDS,
        "Seconds for which the licence is valid on a device whose clock is not set securely. "
        "The project's own.",
        "policy.grace_period",
    ),
    Parameter(
        "isroot",
        BOOLEAN,
        "Makes this a root licence, to which leaf licences may be chained.",
        "grant.is_root",
        "false",
        legacy="UseRootLicense",
    ),
    Parameter(
        "rootid",
        guid(Kid),
        "The KID of the root licence that this leaf licence is chained to; in the legacy spelling "
        "with UseChainLicense=1.",
        "grant.root_kid",
        legacy="UplinkKey",
    ),
    Parameter(
        "accountid",
        guid(AccountId),
        "The account whose domain the licence is bound to.",
        "grant.account_id",
        legacy="AccountID",
    ),
    Parameter(
        "usedomains",
        BOOLEAN,
        "Binds the licence to the domain of the server's default account.",
        "grant.in_default_domain",
        "false",
        legacy="UseDomains",
    ),
    Parameter(
        "tid",
        guid(TransactionId),
        "The transaction id that the device acknowledges the licences with.",
        "reply.transaction_id",
    ),
    Parameter(
        "mid",
        guid(Mid),
        "The metering id that the device reports usage and secure stops of the licence to. "
        "The project's own.",
        "policy.metering",
    ),
    Parameter(
        "securestop",
        BOOLEAN,
        "Makes the device report when playback has stopped.",
        "policy.secure_stop",
        "false",
        legacy="SecureStop",
    ),
    Parameter(
        "sourceid",
        number(0, U32),
        "The id of the protection system that the content was imported from.",
        "policy.source_id",
    ),
    Parameter(
        "restrictedsourceids",
        NUMBERS,
        "Source ids of content that the licence restricts. The project's own.",
        "policy.restricted_source_ids",
    ),
    Parameter(
        "embedding",
        number(0, U16),
        "The number that controls embedding of the licence in content. The project's own.",
        "policy.embedding",
        "1",
    ),
    Parameter(
        "revinfo",
        number(0, U32),
        "The minimum version of the device's revocation information. The project's own.",
        "policy.revocation_info_version",
    ),
    Parameter(
        "policymetadata",
        PROTECTION,
        "A policy by its GUID. The project's own.",
        "policy.metadata",
        adds=_protections,
        repeats=True,
    ),
    Parameter(
        "caopl",
        _OUTPUT_LEVEL,
        "The minimum output protection level of compressed digital audio.",
        "levels.compressed_digital_audio",
        legacy="CompressedDigitalAudioOPL",
        needs_play=True,
    ),
    Parameter(
        "ucaopl",
        _OUTPUT_LEVEL,
        "The minimum output protection level of uncompressed digital audio.",
        "levels.uncompressed_digital_audio",
        legacy="UncompressedDigitalAudioOPL",
        needs_play=True,
    ),
    Parameter(
        "cvopl",
        _OUTPUT_LEVEL,
        "The minimum output protection level of compressed digital video.",
        "levels.compressed_digital_video",
        legacy="CompressedDigitalVideoOPL",
        needs_play=True,
    ),
    Parameter(
        "ucvopl",
        _OUTPUT_LEVEL,
        "The minimum output protection level of uncompressed digital video.",
        "levels.uncompressed_digital_video",
        legacy="UncompressedDigitalVideoOPL",
        needs_play=True,
    ),
    Parameter(
        "avopl",
        _OUTPUT_LEVEL,
        "The minimum output protection level of analog video.",
        "levels.analog_video",
        legacy="AnalogVideoOPL",
        needs_play=True,
    ),
    Parameter(
        "dvop",
        PROTECTION,
        "An output protection for digital video.",
        "policy.digital_video",
        legacy="DigitalVideoOutputProtection",
        adds=_protections,
        repeats=True,
        needs_play=True,
    ),
    Parameter(
        "daop",
        PROTECTION,
        "An output protection for digital audio.",
        "policy.digital_audio",
        legacy="DigitalAudioOutputProtection",
        adds=_protections,
        repeats=True,
        needs_play=True,
    ),
    Parameter(
        "avop",
        PROTECTION,
        "An output protection for analog video.",
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
        legacy="MaxResDecode",
        adds=_resolution,
        needs_play=True,
    ),
    Parameter(
        "playenablers",
        GUIDS,
        "The technologies that playback may be transferred to.",
        "policy.play_enablers",
        legacy="PlayEnablers",
        adds=tuple,
        needs_play=True,
    ),
    Parameter(
        "allowunknownsd",
        BOOLEAN,
        "Allows unknown outputs in standard definition: short for play enabler "
        f"{UNKNOWN_OUTPUT_SD.text}.",
        "policy.play_enablers",
        "false",
        adds=_if_true(UNKNOWN_OUTPUT_SD),
        needs_play=True,
    ),
    Parameter(
        "allowunknownhd",
        BOOLEAN,
        "Allows unknown outputs in any definition: short for play enabler "
        f"{UNKNOWN_OUTPUT_HD.text}.",
        "policy.play_enablers",
        "false",
        adds=_if_true(UNKNOWN_OUTPUT_HD),
        needs_play=True,
    ),
    Parameter(
        "extendedrestrictions",
        RESTRICTIONS,
        "Restrictions by number, of the Play right or else of the first granted right.",
        "policy.extended_restrictions",
    ),
    Parameter(
        "errorcode",
        STATUS,
        "Returns this fault instead of licences.",
        "reply.error_code",
        legacy="ErrorCode",
    ),
    Parameter(
        "revoked",
        BOOLEAN,
        "Returns the fault of a revoked device.",
        "reply.revoked",
        "false",
    ),
    Parameter(
        "msg",
        word({"clientinfo": True}),
        "msg:clientinfo returns a fault whose CustomData is the information on the client.",
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
"""Parameters by each name in lower case, outside the legacy spelling."""
BY_LEGACY_NAME: Final = {
    parameter.legacy.lower(): parameter for parameter in PARAMETERS if parameter.legacy
}
"""Parameters by legacy name in lower case."""
