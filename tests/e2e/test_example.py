"""The example packages, licenses and decrypts content: CTR over HTTP, CBC over HTTPS."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rightsmanager.device import post, post_trusting
from tests.databases import on_sqlite
from tests.second import packager

if TYPE_CHECKING:
    from tests.e2e.conftest import Server, Start

ROOT = Path(__file__).parents[2]
CBC = {
    "RIGHTSMANAGER_PACKAGING__ALGID": "AESCBC",
    "RIGHTSMANAGER_PACKAGING__HEADER_VERSION": "4.3.0.0",
}
PROGRAM = "the example's video"
FRAMES = {"video": 50, "audio": 87}


@pytest.fixture
def service(request: pytest.FixtureRequest, server: Server, start: Start, tmp_path: Path) -> Server:
    """A server that makes keys for the scheme."""
    if request.param == "cenc":
        return server
    return start(tmp_path / "data", "--https", **CBC)


def default_kid(file: bytes) -> uuid.UUID:
    """Return the KID of a track encryption box; its bytes are in the order of its text."""
    start = file.index(b"tenc") + 12
    return uuid.UUID(bytes=file[start : start + 16])


def scheme_of(file: bytes) -> str:
    start = file.index(b"schm") + 8
    return file[start : start + 4].decode()


def objects(file: bytes) -> list[bytes]:
    """Return the PlayReady Object of each PSSH box."""
    system = uuid.UUID(packager.PLAYREADY).bytes
    found = [match.end() for match in re.finditer(b"pssh\0\0\0\0" + re.escape(system), file)]
    return [
        file[start + 4 : start + 4 + struct.unpack_from(">I", file, start)[0]] for start in found
    ]


@on_sqlite
@pytest.mark.parametrize(
    ("service", "scheme"), [("cenc", "cenc"), ("cbcs", "cbcs")], indirect=["service"]
)
def test_packaged_content_plays_with_its_licence(
    service: Server, scheme: str, tmp_path: Path
) -> None:
    folder = tmp_path / "packaged"
    cafile = service.announced.get("https", {}).get("certificate")
    ran = subprocess.run(
        [
            *(sys.executable, str(ROOT / "examples" / "packaged_video.py"), "--url", service.url),
            *("--data", str(service.data), "--folder", str(folder)),
            *("--program", PROGRAM, "--scheme", scheme),
            *(("--cafile", cafile) if cafile else ()),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    for stream, number in FRAMES.items():
        assert f"{stream}: {number} of {number} frames are the original's, 0 without" in ran.stdout

    ask = post_trusting(Path(cafile)) if cafile else post
    request = packager.ask(packager.stream(PROGRAM))
    reply = packager.take(ask(service.url, "AcquirePackagingData", request))
    assert f"KID {reply.kid}, content key {reply.key.hex()}\n" in ran.stdout
    for stream in FRAMES:
        file = (folder / f"{stream}.mp4").read_bytes()
        assert scheme_of(file) == scheme
        assert default_kid(file) == reply.kid
        assert objects(file) == [reply.object]


@on_sqlite
def test_a_key_of_another_type_than_the_scheme_needs_is_refused(
    server: Server, tmp_path: Path
) -> None:
    ran = subprocess.run(
        [
            *(sys.executable, str(ROOT / "examples" / "packaged_video.py"), "--url", server.url),
            *("--data", str(server.data), "--folder", str(tmp_path), "--scheme", "cbcs"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith(
        "the key type of the licence is AES_CTR, expected AES_CBC for cbcs: set packaging.algid"
    )


def test_an_unreachable_server_ends_it_with_an_error(tmp_path: Path) -> None:
    example = [sys.executable, str(ROOT / "examples" / "packaged_video.py")]
    nowhere = ["--url", "http://127.0.0.1:1/rightsmanager.asmx", "--folder", str(tmp_path)]
    ran = subprocess.run([*example, *nowhere], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr.startswith("packager failed:\n")


@on_sqlite
def test_rotated_keys_play_in_the_three_ways(server: Server, tmp_path: Path) -> None:
    ran = subprocess.run(
        [
            *(sys.executable, str(ROOT / "examples" / "rotated_video.py"), "--url", server.url),
            *("--data", str(server.data), "--folder", str(tmp_path), "--program", "rotated video"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    results = re.findall(r"  (\d+ of 300 frames .*); (.*)\n", ran.stdout)
    frames = "300 of 300 frames are the original's, 0 without the keys"
    assert results == [
        (frames, "3 keys by 3 requests and 0 leaf licences"),
        (frames, "3 keys by 3 requests and 0 leaf licences"),
        (frames, "4 keys by 1 requests and 3 leaf licences"),
    ]
    # The way in which a segment of the packager names its key, and the box that replaced its own.
    boxes = [
        (tmp_path / way / "video-1.m4s").read_bytes().partition(b"pssh")[2]
        for way in ("in-band", "leaves")
    ]
    assert [b"XMR\0" in box for box in boxes] == [False, True]
