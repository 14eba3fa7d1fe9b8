"""Public cases: what people met with PlayReady servers, packagers and players, by the case's name.

The sources are public threads, documents and test suites. Published headers and replies are vectors
with their source; all other inputs are made here.
"""

from __future__ import annotations

import base64
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import unescape

import pytest
from click.testing import CliRunner
from lxml import etree

from rightsmanager.cli import rightsmanager
from rightsmanager.device.acquire import header_of_kids
from rightsmanager.device.licenses import kid_of
from rightsmanager.protocol.formats.pssh import Pssh, build_object, build_pssh, object_of
from rightsmanager.protocol.formats.xmr.license import parse_license
from rightsmanager.protocol.wire import PROTOCOLS, Kid
from tests.databases import on_sqlite
from tests.e2e.conftest import REPLY_SECONDS
from tests.e2e.devices import make_device
from tests.e2e.test_field_requests import key_message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer, Client, HeaderOf, Server

HEADER: Final = "http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader"
A: Final = "6f651ae1-dbe4-4434-bcb4-690d1564c41c"
AUDIO, VIDEO = (f"43215678-1234-1234-1234-12341234123{last}" for last in "67")
PERIODS: Final = ("51745386-2d42-56fd-8bad-4f58422004d7", "26470f42-96d4-5d04-a9ba-bb442e169800")
CTR: Final = "<PROTECTINFO><KEYLEN>16</KEYLEN><ALGID>AESCTR</ALGID></PROTECTINFO>"
MP4: Final = "mp4-based-formats"


def b64(guid: str) -> str:
    return Kid.parse(guid).base64


def wrm(version: str, data: str) -> str:
    """Return a header with this XML in DATA."""
    return f'<WRMHEADER xmlns="{HEADER}" version="{version}.0.0"><DATA>{data}</DATA></WRMHEADER>'


def one(guid: str, more: str = "") -> str:
    """Return the 4.0 header of a KID."""
    return wrm("4.0", f"{CTR}<KID>{b64(guid)}</KID>{more}")


BOTH: Final = wrm(
    "4.2",
    "<PROTECTINFO><KIDS>"
    + "".join(f'<KID ALGID="AESCTR" VALUE="{b64(each)}"></KID>' for each in (VIDEO, AUDIO))
    + "</KIDS></PROTECTINFO>",
)
ON_DEMAND: Final = wrm(
    "4.1",
    "<CUSTOMATTRIBUTES><IIS_DRM_VERSION>7.1.1572.18</IIS_DRM_VERSION></CUSTOMATTRIBUTES>"
    "<DECRYPTORSETUP>ONDEMAND</DECRYPTORSETUP>",
)
NOT_REQUESTED: Final = wrm("4.3", '<PROTECTINFO LICENSEREQUESTED="false"></PROTECTINFO>')
SHORT_CHECKSUM: Final = one(
    "da9b5994-600c-2ad0-be5b-7c2725780978", "<CHECKSUM>P7ORpD2IpA==</CHECKSUM>"
)
INITIATOR: Final = (
    f'<PlayReadyInitiator xmlns="{PROTOCOLS}/"><LicenseAcquisition><Header>{one(A)}</Header>'
    "<CustomData>a token</CustomData></LicenseAcquisition></PlayReadyInitiator>"
)


@dataclass(frozen=True)
class Published:
    """The published headers and the published reply."""

    headers: list[dict[str, Any]]
    reply: str

    def header(self, source: str, place: str = "") -> str:
        """Return a header as its source prints it."""
        return next(
            str(each["text"])
            for each in self.headers
            if source in each["source"] and place in each["places"][0]
        )


@pytest.fixture(scope="module")
def published(vectors: Callable[[str], Any]) -> Published:
    return Published(vectors("published_headers")["headers"], vectors("published_reply")["reply"])


def run(*arguments: str) -> tuple[int, str]:
    """Return the exit status of a command and all that it says."""
    done = CliRunner().invoke(rightsmanager, arguments)
    return done.exit_code, f"{done.output}{done.exception or ''}"


@pytest.fixture(scope="module")
def device(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_device(server.data, tmp_path_factory.mktemp("cases") / "device").folder)


# --- show and explain -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "place", "wanted"),
    [
        pytest.param(MP4, "", ("4.1.0.0", "ONDEMAND"), id="header-ondemand-show"),
        pytest.param("test_scheme.js", "", ("4.0.0.0",), id="show-two-boxes"),
        pytest.param("encrypt_master_drm", "line 3", ("4.0.0.0",), id="show-hls-key"),
        pytest.param("encrypt_master_drm", "data: URI", ("4.0.0.0",), id="show-data-uri"),
        pytest.param("sample_ismc_1", "Protection,", ("4.0.0.0",), id="show-protection-header"),
        pytest.param("laurl.mpd", "", ("4.0.0.0",), id="show-pub-dashjs"),
        pytest.param("livesim2", "", ("4.3.0.0",), id="show-pub-livesim-cbcs"),
        pytest.param("sample_ismc_1", "base64", ("4.0.0.0",), id="show-pub-smooth-androidx"),
        pytest.param("encrypt_master_drm", "base64", ("4.0.0.0",), id="show-pub-isa-hls"),
        pytest.param("mpd-parser", "", ("4.0.0.0",), id="show-pub-mpd-parser"),
    ],
)
def test_a_published_header_is_shown(
    published: Published, tmp_path: Path, source: str, place: str, wanted: tuple[str, ...]
) -> None:
    file = tmp_path / "header"
    file.write_text(published.header(source, place))
    status, said = run("show", str(file))
    assert (status, [each for each in wanted if each not in said]) == (0, []), said
    assert "WRMHEADER" in said
    assert "failed: WRMHEADER" not in said


@on_sqlite
@pytest.mark.parametrize(
    "show",
    [
        pytest.param("reply", id="show-real-signing-chain"),
        pytest.param("key message", id="show-key-message"),
        pytest.param("initiator", id="initiator-show"),
    ],
)
def test_a_message_is_shown(
    published: Published, client: Client, header_of: HeaderOf, tmp_path: Path, show: str
) -> None:
    inputs = {
        "reply": (published.reply.encode(), "AcquireLicense reply"),
        "key message": (
            key_message(client.challenge(header_of(b64(A)))),
            "AcquireLicense challenge",
        ),
        "initiator": (INITIATOR.encode(), A),
    }
    data, wanted = inputs[show]
    file = tmp_path / "message"
    file.write_bytes(data)
    _, said = run("show", str(file))
    assert wanted in said
    assert "has no key with the usage SIGN_LICENSE" not in said


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        pytest.param(
            "SecureStop=1&UseSimpleNonPersistentLicense=1&RealTimeExpiration=1"
            "&FirstPlayExpiration=300",
            ("real time expiration", "300"),
            id="legacy-realtime",
        ),
        pytest.param(
            "PlayRight=1&SecurityLevel=2000&MaxResDecode=1920x1080",
            ("9645e831-e01d-4fff-8342-0a720e3e028f",),
            id="legacy-maxres",
        ),
        pytest.param("PlayRight=1&UseRootLicense=1", ("licence 1 (persistent)",), id="legacy-root"),
        pytest.param(
            "PlayRight=1&CompressedDigitalVideoOPL=300&UseSimpleNonPersistentLicense=1",
            ("compressed digital video: 300",),
            id="opl-300-legacy",
        ),
        pytest.param("cfg=(ucvopl:200)", ("uncompressed digital video: 200",), id="opl-200-cfg"),
        pytest.param("cfg=(caopl:0,ucaopl:0,cvopl:0,ucvopl:0,avopl:0)", ("licence 1",), id="opl-0"),
    ],
)
def test_a_published_query_is_explained(query: str, wanted: tuple[str, ...]) -> None:
    status, said = run("explain", query)
    assert (status, [each for each in wanted if each not in said]) == (0, []), said


# --- challenges -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Posted:
    """A challenge and its expected licences, or the text of the expected fault."""

    header: str = one(A)
    query: str = ""
    licences: tuple[str, ...] = (A,)
    fault: str = ""
    code: str = "0x8004c601"
    features: tuple[str, ...] = ("AESCBC",)
    wrap: str = "plain"
    charset: str = "utf-8"
    action: str = f'"{PROTOCOLS}/AcquireLicense"'


def groups(*queries: str) -> str:
    return "cfg=" + ",".join(f"({each})" for each in queries)


CHAINED: Final = "uPeXHrR3K0icGCpYMBGsZw=="
ROOT: Final = "1e97f7b8-77b4-482b-9c18-2a583011ac67"
POSTED: Final = {
    "header-ondemand-acquire": Posted(ON_DEMAND, f"cfg=(kid:{A})"),
    "header-not-requested": Posted(NOT_REQUESTED, licences=()),
    "kids-of-url-more-than-header": Posted(
        one(PERIODS[0]),
        groups(*(f"kid:{each},contentkey:{b64(each)}" for each in PERIODS)),
        licences=PERIODS[:1],
    ),
    "kids-of-url-hbbtv": Posted(
        one(AUDIO),
        groups(
            f"kid:{VIDEO},sl:2000,persist:false,contentkey:EjQSNBI0EjQSNBI0EjQSNw==",
            f"kid:{AUDIO},sl:2000,persist:false,contentkey:EjQSNBI0EjQSNBI0EjQSNg==",
        ),
        licences=(AUDIO,),
    ),
    "sl3000-with-sl2000": Posted(
        BOTH,
        groups(f"kid:{VIDEO},sl:3000,persist:false", f"kid:{AUDIO},sl:2000,persist:false"),
        licences=(AUDIO,),
    ),
    "query-token": Posted(query="ExpressPlayToken=AQAAAA"),
    "query-cfg-with-other": Posted(query="cfg=(persist:true,sl:150)&_=1700000000000"),
    "cbc-unsupported-client": Posted(
        query="cfg=(ckt:aescbc)",
        features=(),
        fault="does not have the feature AESCBC",
        code="0x8004c604",
    ),
    "post-key-message": Posted(
        wrap="key message",
        fault="found in PlayReadyKeyMessage, Challenge, base64: decode that and post it alone",
    ),
    "post-utf16-without-mark": Posted(wrap="utf-16-le", charset="utf-16"),
    "utf16-body": Posted(wrap="utf-16"),
    "checksum-of-lg": Posted(SHORT_CHECKSUM, licences=("da9b5994-600c-2ad0-be5b-7c2725780978",)),
    "wpt-eme-url": Posted(
        query="UseSimpleNonPersistentLicense=1&SecureStop=1"
        "&PlayEnablers=B621D91F-EDCC-4035-8D4B-DC71760D43E9&ContentKey=EAtsIJQPd5pFiRUrV9Layw=="
    ),
    "ms-chain-url": Posted(
        query=groups(f"rootid:{CHAINED},kid:header", f"isroot:true,kid:{CHAINED}"),
        licences=(A, ROOT),
    ),
    "action-unquoted": Posted(action=f"{PROTOCOLS}/AcquireLicense"),
    "several-kids-of-header": Posted(BOTH, licences=(VIDEO, AUDIO)),
}


def send(server: Server, client: Client, header_of: HeaderOf, posted: Posted) -> Answer:
    """Post a challenge whose header is exactly the text of the case."""
    version = "1" if 'version="4.0' in posted.header or "4.1" in posted.header else "4"
    challenge = client.challenge(
        header_of(b64(A)), header=posted.header, version=version, features=posted.features
    )
    body = challenge
    if posted.wrap == "key message":
        body = key_message(challenge)
    elif posted.wrap != "plain":
        body = challenge.decode().encode(posted.wrap)
    return server.post(
        body,
        f"/rightsmanager.asmx?{posted.query}",
        Content_Type=f"text/xml; charset={posted.charset}",
        SOAPAction=posted.action,
    )


@on_sqlite
@pytest.mark.parametrize("case", POSTED)
def test_a_challenge_gets_its_licences_or_its_fault(
    server: Server, client: Client, header_of: HeaderOf, case: str
) -> None:
    posted = POSTED[case]
    answer = send(server, client, header_of, posted)
    text = unescape(answer.body.decode())
    if posted.fault:
        assert (answer.status, answer.code) == (500, posted.code)
        assert posted.fault in text
        return
    assert answer.status == 200, text
    licences = etree.fromstring(answer.body).iterfind(".//{*}License")
    kids = [kid_of(parse_license(base64.b64decode(each.text or ""))).text for each in licences]
    assert sorted(kids) == sorted(posted.licences)


# --- device acquire -------------------------------------------------------------------------------


WIDEVINE: Final = bytes.fromhex(
    "000000347073736800000000edef8ba979d64acea3c827dcd51d21ed00000014"
) + bytes(20)


def in_file(form: str) -> bytes:
    """Return the header of KID A as a file of this form."""
    wrapped = object_of(header_of_kids((Kid.parse(A),)))
    return build_object(wrapped) if form == "object" else build_pssh(Pssh(wrapped))


@on_sqlite
@pytest.mark.parametrize(
    ("form", "option"),
    [
        pytest.param("object", "--header", id="acquire-header-object"),
        pytest.param("box", "--header", id="acquire-header-box"),
        pytest.param("two boxes", "--pssh", id="acquire-two-boxes"),
    ],
)
def test_a_header_of_any_form_is_acquired(
    server: Server, device: str, tmp_path: Path, form: str, option: str
) -> None:
    data = (WIDEVINE if form == "two boxes" else b"") + in_file(form)
    file = tmp_path / "header"
    file.write_bytes(data)
    given = str(file) if option == "--header" else base64.b64encode(data).decode()
    status, said = run("device", "acquire", "--device", device, "--url", server.url, option, given)
    assert (status, A in said) == (0, True), said


@on_sqlite
@pytest.mark.parametrize(
    ("source", "query", "said"),
    [
        pytest.param(
            "how-to-package-mp4-based",
            "cfg=(ck:W31bfVt9W31bfVt9W31bfQ==)",
            (0, "10000000-1000-1000-1000-100000000001"),
            id="acquire-bare-header",
        ),
        pytest.param(
            "HbbTV",
            "cfg=(contentkey:EjQSNBI0EjQSNBI0EjQSNg==)",
            (0, "12341234123412341234123412341236"),
            id="acquire-hbbtv-key",
        ),
        pytest.param("sample_ismc_1", "", (1, "CHECKSUM"), id="device-own-check-code"),
    ],
)
def test_a_published_header_is_acquired(
    server: Server,
    device: str,
    published: Published,
    *,
    source: str,
    query: str,
    said: tuple[int, str],
) -> None:
    status, wanted = said
    pssh, url = published.header(source, "base64"), f"{server.url}?{query}"
    ran = run("device", "acquire", "--device", device, "--url", url, "--pssh", pssh)
    assert (ran[0], wanted in ran[1]) == (status, True), ran
    assert "0x8004c6" not in ran[1]


@on_sqlite
@pytest.mark.parametrize(
    ("query", "wanted", "absent"),
    [
        pytest.param(
            "cfg=(expiration:20200101)", "expired", "every check passed", id="acquire-expired"
        ),
        pytest.param(
            "cfg=(contentkey:gAtsIJQPd5+FiRUrV9Layw==)",
            "800b6c20940f779f8589152b57d2dacb",
            "expired",
            id="plus-stays-plus",
        ),
    ],
)
def test_a_query_is_acquired(
    server: Server, device: str, query: str, wanted: str, absent: str
) -> None:
    url = f"{server.url}?{query}"
    _, said = run("device", "acquire", "--device", device, "--url", url, "--kid", A)
    assert (wanted in said, absent in said) == (True, False), said


@on_sqlite
@pytest.mark.parametrize("_", [pytest.param(None, id="expiry-after-play")])
def test_a_licence_ends_after_its_first_play(server: Server, tmp_path: Path, _: None) -> None:
    playing = ("--device", str(make_device(server.data, tmp_path / "device").folder))
    url = f"{server.url}?cfg=(persist:true,firstexp:1,realtime:true)"
    assert run("device", "acquire", *playing, "--url", url, "--kid", A)[0] == 0
    assert run("device", "play", *playing, A)[0] == 0
    deadline = time.monotonic() + REPLY_SECONDS
    while (ran := run("device", "play", *playing, A))[0] == 0:
        assert time.monotonic() < deadline
    assert (ran[0], "expired" in ran[1]) == (1, True), ran


# --- lists of keys --------------------------------------------------------------------------------

_PSKC: Final = "urn:ietf:params:xml:ns:keyprov:pskc"


def key(number: int, attributes: str = "", guid: str = "") -> str:
    """Return a ContentKey whose value is that of its KID."""
    guid = guid or f"10000000-0000-4000-8000-{number:012}"
    value = base64.b64encode(number.to_bytes(16, "big")).decode()
    return (
        f'<ContentKey kid="{guid}" {attributes}><Data><pskc:Secret><pskc:PlainValue>{value}'
        "</pskc:PlainValue></pskc:Secret></Data></ContentKey>"
    )


def cpix(*keys: str, lists: str = "", attributes: str = 'contentId="movie" version="2.3"') -> str:
    return (
        f'<CPIX xmlns="urn:dashif:org:cpix" xmlns:pskc="{_PSKC}" {attributes}><ContentKeyList>'
        f"{''.join(keys)}</ContentKeyList>{lists}</CPIX>"
    )


FIRST, SECOND, THIRD = (f"10000000-0000-4000-8000-{number:012}" for number in (1, 2, 3))
CBCS: Final = 'commonEncryptionScheme="cbcs"'


def rule(guid: str, content: str = "", attributes: str = "") -> str:
    return f'<ContentKeyUsageRule kid="{guid}" {attributes}>{content}</ContentKeyUsageRule>'


def period(guid: str, name: str) -> str:
    return rule(guid, f'<KeyPeriodFilter periodId="{name}"/>')


IMPORTED: Final = {
    "cpix-leaf-inherits-scheme": (
        cpix(key(1, CBCS), key(2, f'dependsOnKey="{FIRST}"')),
        ("aescbc",),
        "aesctr",
    ),
    "cpix-hls-method": (
        cpix(key(1, 'commonEncryptionScheme="SAMPLE-AES"')),
        ("aescbc",),
        "aesctr",
    ),
    "cpix-content-id-of-key": (
        cpix(
            key(1, f'contentId="movie-a" {CBCS}'),
            key(2, f'contentId="movie-b" {CBCS}'),
            attributes='version="2.4"',
        ),
        ("movie-a", "movie-b"),
        "aesctr",
    ),
    "cpix-period-without-id": (
        cpix(
            key(1),
            lists='<ContentKeyPeriodList><ContentKeyPeriod index="7"/></ContentKeyPeriodList>'
            "<ContentKeyUsageRuleList>"
            f"{rule(FIRST, '<VideoFilter/>', 'intendedTrackType=' + chr(34) + 'VIDEO' + chr(34))}"
            "</ContentKeyUsageRuleList>",
        ),
        ("1 added",),
        "KeyError",
    ),
    "cpix-period-label": (
        cpix(
            key(1),
            key(2),
            lists='<ContentKeyPeriodList><ContentKeyPeriod id="p1" label="ad-break-1"/>'
            '<ContentKeyPeriod id="p2" label="ad-break-2"/></ContentKeyPeriodList>'
            f"<ContentKeyUsageRuleList>{period(FIRST, 'p1')}{period(SECOND, 'p2')}"
            "</ContentKeyUsageRuleList>",
        ),
        ("movie",),
        "KeyError",
    ),
    "cpix-tracktypes-speke2": (
        cpix(
            *(key(number, CBCS) for number in (1, 2, 3)),
            lists="<ContentKeyUsageRuleList>"
            + rule(FIRST, '<VideoFilter maxPixels="442368"/>', 'intendedTrackType="SD"')
            + rule(SECOND, '<VideoFilter minPixels="442369"/>', 'intendedTrackType="HD"')
            + rule(THIRD, '<AudioFilter maxChannels="2"/>', 'intendedTrackType="STEREO_AUDIO"')
            + "</ContentKeyUsageRuleList>",
        ),
        ("3 added",),
        "aesctr",
    ),
    "cpix-ezdrm-v1-id-only": (
        cpix(
            key(1, 'explicitIV="d3lN8heDTVm614DqkJqZtg=="'),
            lists=f'<DRMSystemList><DRMSystem kid="{FIRST}" '
            'systemId="9a04f079-9840-4286-ab92-e65be0885f95"><PSSH>AAAA</PSSH></DRMSystem>'
            "</DRMSystemList>",
            attributes='id="1"',
        ),
        ("1 added",),
        "aescbc",
    ),
    "cpix-upper-kid": (
        cpix(key(1, CBCS, "ABCD0000-0000-4000-8000-000000000001")),
        ("1 added", "abcd0000-0000-4000-8000-000000000001"),
        "aesctr",
    ),
    "cpix-drmsystem-unknown": (
        cpix(
            key(1),
            lists=f'<DRMSystemList><DRMSystem kid="{FIRST}" '
            'systemId="81376844-f976-481e-a84e-cc25d39b0b33"><ContentProtectionData/>'
            '<KeyFormat xmlns="urn:aws:amazon:com:speke"/><HLSSignalingData playlist="media"/>'
            "<SmoothStreamingProtectionHeaderData>x</SmoothStreamingProtectionHeaderData>"
            "</DRMSystem></DRMSystemList>",
        ),
        ("1 added",),
        "aescbc",
    ),
}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder without content keys."""
    data = tmp_path_factory.mktemp("cases") / "data"
    assert run("init", "--data", str(data))[0] == 0
    return data


@pytest.mark.parametrize("case", IMPORTED)
def test_a_list_of_keys_is_imported(empty: Path, tmp_path: Path, case: str) -> None:
    text, wanted, absent = IMPORTED[case]
    data, file = str(shutil.copytree(empty, tmp_path / "data")), tmp_path / "keys.xml"
    file.write_text(text)
    status, said = run("content", "import", "--data", data, str(file))
    listed = run("content", "list", "--data", data)[1]
    assert status == 0, said
    assert [each for each in wanted if each not in said + listed] == []
    assert absent not in said + listed
