"""Request documents of CPIX and SPEKE, with the facts of published examples."""

import base64

from tests.second.clients import Identity

PLAYREADY = "9a04f079-9840-4286-ab92-e65be0885f95"
WIDEVINE = "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"
FAIRPLAY = "94ce86fb-07ff-4f43-adb8-93d2fa968ca2"
NAMESPACES = (
    'xmlns:cpix="urn:dashif:org:cpix" xmlns:pskc="urn:ietf:params:xml:ns:keyprov:pskc" '
    'xmlns:speke="urn:aws:amazon:com:speke"'
)
ALL = (
    "<cpix:PSSH/><cpix:ContentProtectionData/>"
    '<cpix:HLSSignalingData playlist="media"/><cpix:HLSSignalingData playlist="master"/>'
    "<cpix:SmoothStreamingProtectionHeaderData/>"
)
"""The elements of a DRMSystem that SPEKE 2.0 requests may have."""


def key(kid: str, attributes: str = 'commonEncryptionScheme="cenc"', value: str = "") -> str:
    data = ""
    if value:
        secret = f"<pskc:Secret><pskc:PlainValue>{value}</pskc:PlainValue></pskc:Secret>"
        data = f"<cpix:Data>{secret}</cpix:Data>"
    return f'<cpix:ContentKey kid="{kid}" {attributes}>{data}</cpix:ContentKey>'


def system(kid: str, elements: str = ALL, system_id: str = PLAYREADY) -> str:
    return f'<cpix:DRMSystem kid="{kid}" systemId="{system_id}">{elements}</cpix:DRMSystem>'


def rule(kid: str, track: str, *periods: str) -> str:
    filters = "".join(f'<cpix:KeyPeriodFilter periodId="{each}"/>' for each in periods)
    return (
        f'<cpix:ContentKeyUsageRule kid="{kid}" intendedTrackType="{track}">{filters}'
        "</cpix:ContentKeyUsageRule>"
    )


def period(name: str, index: int) -> str:
    return f'<cpix:ContentKeyPeriod id="{name}" index="{index}"/>'


def delivery(recipient: Identity) -> str:
    """Return the recipient as in the published requests of SPEKE, which have no DocumentKey."""
    certificate = base64.b64encode(recipient.der).decode()
    return (
        '<cpix:DeliveryData xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><cpix:DeliveryKey>'
        f"<ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data>"
        "</cpix:DeliveryKey></cpix:DeliveryData>"
    )


def document(
    *keys: str,
    systems: tuple[str, ...] = (),
    periods: tuple[str, ...] = (),
    rules: tuple[str, ...] = (),
    recipients: tuple[str, ...] = (),
    attributes: str = 'contentId="abc123" version="2.3"',
) -> bytes:
    lists = (
        ("DeliveryDataList", recipients),
        ("ContentKeyList", keys),
        ("DRMSystemList", systems),
        ("ContentKeyPeriodList", periods),
        ("ContentKeyUsageRuleList", rules),
    )
    body = "".join(f"<cpix:{name}>{''.join(parts)}</cpix:{name}>" for name, parts in lists if parts)
    return f"<cpix:CPIX {attributes} {NAMESPACES}>{body}</cpix:CPIX>".encode()


def speke_2(content_id: str, video: str, audio: str, number: int = 1) -> bytes:
    """Return a live request of SPEKE 2.0: a key for all video, one for all audio, in one period.

    It has the facts of the example "Live Example Request Payload with Keys in the Clear" of the
    AWS document "SPEKE API v2 - Live workflow method call examples".
    """
    name = f"keyPeriod_{number}"
    return document(
        *(key(kid, 'commonEncryptionScheme="cbcs"') for kid in (video, audio)),
        systems=tuple(
            system(kid, ALL, each)
            for kid in (video, audio)
            for each in (PLAYREADY, WIDEVINE, FAIRPLAY)
        ),
        periods=(period(name, number),),
        rules=(rule(video, "VIDEO", name), rule(audio, "AUDIO", name)),
        attributes=f'contentId="{content_id}" version="2.3"',
    )


def speke_1(content_id: str, kid: str, number: int = 1) -> bytes:
    """Return a live request of SPEKE 1.0, with the facts of the example in its AWS document."""
    name = f"keyPeriod_{number}"
    elements = "<cpix:URIExtXKey/><speke:KeyFormat/><speke:KeyFormatVersions/>"
    return document(
        key(kid, ""),
        systems=(
            system(kid, elements, "81376844-f976-481e-a84e-cc25d39b0b33"),
            system(kid, "<speke:ProtectionHeader/>"),
            system(kid, "<cpix:PSSH/>", WIDEVINE),
        ),
        periods=(period(name, number),),
        rules=(rule(kid, "", name).replace(' intendedTrackType=""', ""),),
        attributes=f'id="{content_id}"',
    )
