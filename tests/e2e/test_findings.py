"""Each finding from outside, reproduced from a shell: its right outcome.

A finding has the document and the number under which it was reported. `LINES` has a command line
for each, run by bash against one server; `$U` is the service, `$K` a KID, `$D` a device, `$C` the
SOAP envelope of a challenge of AcquireLicense. Findings that need more than a line are `ELSEWHERE`.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from rightsmanager.protocol.wire import Kid
from tests.databases import on_sqlite
from tests.docs.conftest import programs  # noqa: F401 -- a fixture
from tests.e2e.conftest import REPLY_SECONDS
from tests.e2e.devices import make_device
from tests.e2e.test_public_cases import (
    CBCS,
    ON_DEMAND,
    WIDEVINE,
    A,
    cpix,
    in_file,
    key,
    wrm,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.e2e.conftest import Enrol, HeaderOf, Start

_BASH: Final = shutil.which("bash") or "bash"
ROOT: Final = Path(__file__).parents[2]
V: Final = "11111111-2222-3333-4444-555555555555"
CHAINED: Final = "uPeXHrR3K0icGCpYMBGsZw=="

CLIENT: Final = """\
#!{python} -IS
# post FILE TARGET [HEADER...], get TARGET [HEADER...]: print status, headers and text of the reply.
import html, http.client, sys
name, words = sys.argv[0].rpartition("/")[2], sys.argv[1:]
body = open(words.pop(0), "rb").read() if name == "post" else None
target = words.pop(0)
target = target if target.startswith("/") else "/rightsmanager.asmx?" + target
connection = http.client.HTTPConnection("127.0.0.1", {port}, timeout={seconds})
connection.request(name.upper(), target, body, dict(each.split(": ", 1) for each in words))
reply = connection.getresponse()
print(reply.status)
print(reply.headers, html.unescape(reply.read().decode()))
"""


@dataclass(frozen=True)
class Line:
    """A command line of bash and the outcome: what it prints, and its exit status."""

    ids: str
    title: str
    line: str
    wanted: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    status: int = 0


ACQUIRE: Final = "rightsmanager device acquire --device $D --kid $K --url"
LINES: Final = (
    # --- attack ---
    Line(
        "attack S1",
        "70,000 attributes are refused before anything is canonicalised",
        "post attributes.xml ''",
        ("500", "attributes, expected at most"),
    ),
    Line(
        "attack S2",
        "slow clients do not keep others out",
        "for n in $(seq 24); do exec {fd}<>/dev/tcp/127.0.0.1/$PORT;"
        " printf 'POST /rightsmanager.asmx HTTP/1.1\\r\\nHo' >&$fd; done; get wsdl | head -1",
        ("200",),
    ),
    Line(
        "attack S3",
        "one challenge under many spellings of a query is one licence",
        "rightsmanager device challenge AcquireLicense --device $D --soap11 --output s3.xml"
        " --kid 33333333-0000-4000-8000-000000000003; for q in 'cfg=(persist:true,sl:150)'"
        " 'cfg=(sl:150,persist:true)' 'cfg=(persist:true,SL:150)' 'cfg=(%73l:150,persist:true)';"
        " do post s3.xml $q | head -1; done; rightsmanager licenses list --data $DATA --csv"
        " --kid 33333333-0000-4000-8000-000000000003 | wc -l",
        ("200\n200\n200\n200\n2\n",),
    ),
    Line(
        "attack S4",
        "a challenge with more KIDs than license.max_kids is refused",
        "rightsmanager device acquire --device $D --url $U $(for n in $(seq 1001); do"
        " printf -- '--kid %08x-0000-4000-8000-00000000000a ' $n; done)",
        ("1001", "at most 1000"),
        status=3,
    ),
    Line(
        "attack S5",
        "packaging by loopback refuses what a proxy or a browser has passed on",
        "rightsmanager device challenge AcquirePackagingData --device $D --program s5 --soap11"
        " --output s5.xml; for h in 'X: y' 'X-Client-IP: 10.0.0.1' 'CF-Connecting-IP: 10.0.0.1'"
        " 'X-Forwarded-Proto: https' 'Host: keys.example' 'Sec-Fetch-Site: cross-site'; do"
        " post s5.xml '' \"$h\" | head -1; done",
        ("200\n500\n500\n500\n500\n500\n",),
    ),
    Line(
        "attack S6",
        "guesses of the API's token are delayed",
        "for n in 1 2 3 4 5; do get /api/v1/domains 'Authorization: Bearer guess' | head -1; done",
        ("401\n401\n401\n401\n429\n",),
    ),
    Line(
        "attack S7",
        "a name is not a formula in CSV",
        "rightsmanager domain create --data $DATA --name '=1+1' && rightsmanager domain list"
        " --data $DATA --csv",
        ("'=1+1",),
    ),
    Line(
        "attack S8",
        "a deeply nested body of the API is refused",
        "post deep.json /api/v1/domains 'Content-Type: application/json' | head -1",
        ("4",),
        ("500",),
    ),
    # --- headers and requests of the field ---
    Line(
        "cases A1, rows F4",
        "a header without keys is well-formed, and the request names the key",
        "rightsmanager show on-demand.xml && rightsmanager device acquire --device $D --url"
        ' "$U?cfg=(kid:$K)" --header on-demand.xml',
        ("ONDEMAND", " 0 failed", f"{A} "),
    ),
    Line(
        "cases A2, foreign A2, newcomer B15",
        "legacy names of published samples are known",
        "rightsmanager explain 'SecureStop=1&UseSimpleNonPersistentLicense=1&RealTimeExpiration=1"
        "&FirstPlayExpiration=300' && rightsmanager explain"
        " 'PlayRight=1&SecurityLevel=2000&MaxResDecode=1920x1080' && rightsmanager explain"
        " 'PlayRight=1&UseRootLicense=1' && rightsmanager explain"
        " 'cfg=(playenablers:(AE092501-A9E3-46F6-AFBE-628577DCDF55))'",
        ("real time expiration", "9645e831-e01d-4fff-8342-0a720e3e028f"),
        ("is not published",),
    ),
    Line(
        "cases A3, foreign B1, rows F6",
        "any output level is issued",
        f'{ACQUIRE} "$U?cfg=(ucvopl:200,caopl:0,cvopl:300)" --json',
        ("200", "300"),
    ),
    Line(
        "cases A4, rows F20",
        "a URL with more keys than the header gives the header's licence",
        f'{ACQUIRE} "$U?cfg=(kid:$K),(kid:$V)"',
        ("1 licence,",),
    ),
    Line(
        "cases A5, rows F3",
        "a licence above the device's level leaves the others",
        f'{ACQUIRE} "$U?cfg=(kid:$V,sl:3000),(kid:$K,sl:2000)" --kid $V',
        ("1 licence,", A),
    ),
    Line(
        "cases B1, foreign A1, newcomer A3, rows F1",
        "foreign names in the query are passed over, with a warning",
        "for q in token=abc '_=1' 'CrmId=afb&AccountId=afb' 'cfg=(sl:150)&token=abc' wsdl"
        " op=AcquireLicense 'cfg=(sl:150)&CMCD=ot%3Dk'; do post $C \"$q\" | head -1; done;"
        " post $C token=abc",
        ("200\n" * 7, "X-RightsManager-Warning: 'token' has no effect"),
        ("500",),
    ),
    Line(
        "cases B2, rows F9",
        "a key for AES-CBC only goes to clients that declare it",
        "post no-features.xml 'cfg=(ckt:aescbc)'",
        ("0x8004c604", "does not have the feature AESCBC"),
    ),
    Line(
        "cases B3",
        "a deployed server's certificate may sign replies",
        "rightsmanager show reply.xml || true",
        ("AcquireLicense reply",),
        ("has no key with the usage SIGN_LICENSE",),
    ),
    Line(
        "cases B4",
        "PlayReady's box is taken among others",
        "rightsmanager show boxes.pssh && rightsmanager device acquire --device $D --url $U"
        " --header boxes.pssh",
        (f"{A} ",),
    ),
    Line(
        "cases B5",
        "a leaf key has its root's scheme",
        "rightsmanager content import --data $DATA keys.xml && rightsmanager content list"
        " --data $DATA | grep b5b5b5b5",
        ("2 added", "aescbc"),
        ("aesctr",),
    ),
    # --- foreign software ---
    Line(
        "foreign A3, rows F2",
        "the published scenario gives root and leaf of one KID",
        "rightsmanager device acquire --device $D --kid $CHAINED --url"
        ' "$U?cfg=(rootid:$CHAINED,kid:header),(isroot:true,kid:$CHAINED)"',
        ("2 licences,",),
    ),
    Line(
        "foreign B2",
        "a schema of the WSDL comes after those that it refers to",
        "get wsdl | grep -o 'schema .*targetNamespace=[^ >]*\\|BlackoutInformation.*'",
        ('AcquirePackagingData/v1.0"\nBlackoutInformation" nillable="true" type="s:anyType"',),
    ),
    Line(
        "foreign B3",
        "objects that older readers do not know come before well-known ones",
        "post $C 'cfg=(securestop:true,realtime:true)' | grep -o '<soap.*' > b3.xml;"
        " rightsmanager show b3.xml | grep -oE 'object 0x00(55|5c|5a)'",
        ("object 0x0055\nobject 0x005c\nobject 0x005a\n",),
    ),
    # --- a newcomer ---
    Line(
        "newcomer A1",
        "a challenge is written to a file, and its reply accepted from one",
        "rightsmanager device challenge AcquireLicense --device $D --kid $K --soap12"
        " --output a1.xml && post a1.xml '' 'Content-Type: application/soap+xml'"
        " | grep -o '<soap.*' > a1-reply.xml; rightsmanager device accept --device $D a1-reply.xml",
        (A,),
    ),
    Line(
        "newcomer A2",
        "a challenge that a SOAP stack rebuilt is refused with what is altered",
        'sed \'s#<LA xmlns=\\("[^"]*"\\)#<ns0:LA xmlns:ns0=\\1 xmlns=\\1#; s#</LA>#</ns0:LA>#\''
        " $C > a2.xml; post a2.xml ''",
        ("LA has the prefix 'ns0'",),
    ),
    Line(
        "newcomer A4",
        "variables that Kubernetes injects are ignored",
        "RIGHTSMANAGER_SERVICE_HOST=10.0.0.1 RIGHTSMANAGER_PORT=tcp://10.0.0.1:80"
        " RIGHTSMANAGER_PORT_80_TCP_ADDR=10.0.0.1 rightsmanager config",
        ("[server]",),
    ),
    Line(
        "newcomer A5",
        "URLs with brackets are quoted in the documentation",
        "grep -nE '^[$ ]*rightsmanager .* http[^ ]*[?]cfg' $ROOT/docs/*.md $ROOT/README.md"
        ' | grep -vE "[\'\\"]http" || echo none',
        ("none\n",),
    ),
    Line(
        "newcomer A6",
        "each command with --url has --cafile",
        "for c in acquire join leave play meter stop delete; do rightsmanager device $c --help;"
        " done | grep -c -- '--cafile FILE'; rightsmanager packager --help",
        ("7\n", "--cafile"),
    ),
    Line(
        "newcomer A7, rows F15",
        "a refusal's reason, device, KIDs and masked query reach the log",
        "post $C 'cfg=(sl:7)&token=se-7' | head -1; until grep \"event='call'.*sl:7\" $LOG; do"
        " sleep 0.05; done",
        ("500", "reason=", "device=", A, "0x8004c604"),
        ("se-7",),
    ),
    Line(
        "newcomer B1",
        "the refusal of a challenge to another server key names the file to give",
        "rightsmanager init --data b1 > b1.txt && rightsmanager device new x1 --data b1 &&"
        " rightsmanager device acquire --device x1 --url $U --kid $K",
        ("another key than the known ones of WMRMServer", "wmrmserver.pub"),
        status=3,
    ),
    Line(
        "newcomer B2",
        "SIGHUP reloads settings and keys",
        "kill -HUP $PID; until grep reload $LOG; do sleep 0.05; done; get wsdl | head -1",
        ("200",),
    ),
    Line(
        "newcomer B3",
        "serve fails with one line that names the setting before it says that it serves",
        "RIGHTSMANAGER_LICENSE__KEY_SEED=abc $PYTHON -m rightsmanager serve --json --data b3"
        " --bind 127.0.0.1:0",
        ("license.key_seed",),
        ("Traceback", "http://"),
        status=1,
    ),
    Line(
        "newcomer B4",
        "with --json a failure is JSON, and a fault has an exit status of its own",
        f'{ACQUIRE} "$U?cfg=(errorcode:0x8004c602)" --json',
        ('"fault"', '"status_code"', "0x8004c602"),
        ("SoapException",),
        status=3,
    ),
    Line(
        "newcomer B5",
        "an expired licence is shown as such",
        f'{ACQUIRE} "$U?cfg=(expiration:20200101)"',
        ("expired",),
        ("every check passed",),
    ),
    Line(
        "newcomer B6",
        "an invalid value of a setting is refused",
        "RIGHTSMANAGER_SERVER__PUBLIC_URL=foo rightsmanager config",
        ("public_url",),
        status=1,
    ),
    Line(
        "newcomer B8",
        "looking in the wrong folder is an error, and makes nothing",
        "mkdir b8; cd b8; for c in 'content list' 'streams list' revocations 'purge --older-than"
        " 1d' keys 'metering list' 'domain list'; do rightsmanager $c || echo failed $?; done;"
        " ls -A | wc -l",
        ("failed 1\n", "b8/var", "\n0\n"),
        ("failed 2",),
    ),
    Line(
        "newcomer B9",
        "a lost keyring is not replaced",
        "rightsmanager init --data b9 > b9.txt && rm -r b9/keyring && rightsmanager init --data b9",
        ("keyring",),
        status=1,
    ),
    Line(
        "newcomer B10",
        "the home page's links are below the service's own path",
        "get explain | head -1; get parameters | head -1",
        ("200\n200\n",),
    ),
    Line(
        "newcomer B11",
        "a help page calls a profile a profile",
        "get op=JoinDomain",
        ("rofile",),
    ),
    Line(
        "newcomer B12",
        "a load balancer can ask for the server's health",
        "get /livez | head -1; get /readyz | head -1",
        ("200\n200\n",),
    ),
    Line(
        "newcomer B13",
        "a KID is read in the spellings that people paste",
        "rightsmanager device acquire --device $D --url $U --kid 6F651AE1DBE44434BCB4690D1564C41C"
        " && rightsmanager content add --data $DATA foo 00 || true",
        (A, "hexadecimal"),
        ("Incorrect padding",),
    ),
    Line(
        "newcomer B14",
        "licences, devices and sessions are listed, and purged",
        f"{ACQUIRE} $U && rightsmanager licenses list --data $DATA && rightsmanager licenses"
        " devices --data $DATA && rightsmanager sessions list --data $DATA && rightsmanager"
        " purge --data $DATA --older-than 90d",
        (A, "licence"),
    ),
    Line("newcomer B16", "the example has a command", "cat $ROOT/Makefile", ("\nexample:",)),
    # --- documented behaviour ---
    Line(
        "rows F5",
        "dates may be relative",
        f'{ACQUIRE} "$U?cfg=(enddate:+120)" && {ACQUIRE} "$U?cfg=(expiration:PT2M)"',
        ("good",),
    ),
    Line(
        "rows F8",
        "explain warns of published troubles, and of nothing else",
        "rightsmanager explain 'cfg=(kid:header,persist:false,firstexp:60)'; rightsmanager explain"
        " 'cfg=(avop:(guid:2098DE8D-7DDD-4BAB-96C6-32EBB6FABEA3))'",
        ("realtime",),
        ("is not published",),
    ),
    Line(
        "rows F10",
        "a header with different ALGIDs is refused",
        "rightsmanager device acquire --device $D --url $U --header mixed.xml",
        ("AESCBC", "AESCTR"),
        status=1,
    ),
    Line(
        "rows F11",
        "a removal date needs a persistent licence",
        f'{ACQUIRE} "$U?cfg=(removaldate:20300101)"',
        ("0x8004c604", "removaldate"),
        status=3,
    ),
    Line(
        "rows F12",
        "a key exchange licence is refused",
        f'{ACQUIRE} "$U?cfg=(ckt:keyexchange,ucvopl:250)"',
        ("0x8004c604", "keyexchange"),
        status=3,
    ),
    Line(
        "rows F13",
        "a byte-swapped KID of a stored key is refused, and both spellings named",
        "rightsmanager content add --data $DATA 11223344-5566-7788-99aa-bbccddeeff13"
        " 00112233445566778899aabbccddeeff && rightsmanager device acquire --device $D --url $U"
        " --kid 44332211-6655-8877-99aa-bbccddeeff13",
        ("44332211-6655-8877-99aa-bbccddeeff13", "11223344-5566-7788-99aa-bbccddeeff13"),
        status=3,
    ),
    Line(
        "rows F19",
        "a licence may begin at the time of the client's clock",
        f'{ACQUIRE} "$U?cfg=(begindate:client)" --json',
        ('"begin": 1',),
    ),
)
ELSEWHERE: Final = {
    "newcomer B7": "tests/e2e/test_hooks_e2e.py::test_the_module_of_the_documentation_runs",
    "rows F14": "tests/operations/test_streams.py::test_the_streams_of_a_user_count_on_all_devices",
    "rows F16": "tests/operations/test_hooks.py::test_a_hook_knows_device_certificate_and_header",
    "rows F17": "tests/e2e/test_packaging_e2e.py::test_only_requests_with_the_token_are_served",
    "rows F18": "tests/e2e/test_example.py"
    "::test_a_key_of_another_type_than_the_scheme_needs_is_refused",
}
"""Findings whose reproduction needs a hook, a proxy or a packager, with the test that has it."""


@pytest.fixture(scope="module")
def shell(
    start: Start,
    enrol: Enrol,
    header_of: HeaderOf,
    *,
    vectors: Callable[[str], Any],
    tmp_path_factory: pytest.TempPathFactory,
    programs: Path,  # noqa: F811 -- the fixture
) -> Mapping[str, str]:
    """Return the environment of a command line in a folder with its files, and a server."""
    folder = tmp_path_factory.mktemp("findings")
    server = start(folder / "data", "--workers", "1")
    device = make_device(server.data, folder / "device")
    challenge = ("challenge", "AcquireLicense", "--kid", A, "--soap11")
    device.run(*challenge, "--output", str(folder / "challenge.xml"))
    without = enrol(server.data).challenge(header_of(Kid.parse(A).base64), features=())
    _write_files(folder, without, vectors("published_reply")["reply"])
    _write_programs(folder / "bin", programs / "rightsmanager", server.port)
    return {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
        "ROOT": str(ROOT),
        "WORK": str(folder),
        "DATA": str(server.data),
        "LOG": str(server.log),
        "PID": str(server.process.pid),
        "PORT": str(server.port),
        "U": server.url,
        "D": str(device.folder),
        "C": str(folder / "challenge.xml"),
        "K": A,
        "V": V,
        "CHAINED": CHAINED,
    }


def _write_files(folder: Path, without_features: bytes, reply: str) -> None:
    challenge = (folder / "challenge.xml").read_text()
    many = " ".join(f'a{number:06}=""' for number in range(70_000))
    ids = [f"b5b5b5b5-0000-4000-8000-00000000000{number}" for number in (1, 2)]
    leaf = cpix(key(1, CBCS, ids[0]), key(2, f'dependsOnKey="{ids[0]}"', ids[1]))
    kids = "".join(
        f'<KID ALGID="{algid}" VALUE="{Kid.parse(kid).base64}"></KID>'
        for algid, kid in (("AESCTR", A), ("AESCBC", V))
    )
    texts = {
        "attributes.xml": challenge.replace("</LA>", f"<x {many}/></LA>"),
        "deep.json": "[" * 20_000,
        "on-demand.xml": ON_DEMAND,
        "mixed.xml": wrm("4.3", f"<PROTECTINFO><KIDS>{kids}</KIDS></PROTECTINFO>"),
        "reply.xml": reply,
        "keys.xml": leaf,
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "no-features.xml").write_bytes(without_features)
    (folder / "boxes.pssh").write_bytes(WIDEVINE + in_file("box"))


def _write_programs(folder: Path, rightsmanager: Path, port: int) -> None:
    folder.mkdir()
    (folder / "rightsmanager").symlink_to(rightsmanager)
    for name in ("get", "post"):
        file = folder / name
        file.write_text(CLIENT.format(python=sys.executable, port=port, seconds=REPLY_SECONDS))
        file.chmod(0o700)


@on_sqlite
@pytest.mark.parametrize("line", LINES, ids=lambda line: line.ids)
def test_the_reproduction_of_a_finding_has_the_right_outcome(
    shell: Mapping[str, str], line: Line
) -> None:
    ran = subprocess.run(
        [_BASH, "-c", line.line],
        cwd=shell["WORK"],
        env=shell,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=REPLY_SECONDS,
    )
    found = ran.stdout[-4000:]
    assert ran.returncode == line.status, found
    assert [each for each in line.wanted if each not in ran.stdout] == [], found
    assert [each for each in line.absent if each in ran.stdout] == [], found


@pytest.mark.parametrize(("finding", "test"), ELSEWHERE.items(), ids=ELSEWHERE)
def test_the_reproduction_of_any_other_finding_is_a_test(finding: str, test: str) -> None:
    file, _, name = test.partition("::")
    functions = ast.walk(ast.parse((ROOT / file).read_text()))
    assert name in {each.name for each in functions if isinstance(each, ast.FunctionDef)}, finding
