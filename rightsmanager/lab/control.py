"""The control state of a world: everything about it that all workers have to know.

It is the file `control.json` in the world's folder. A change replaces the file, so each worker sees
by one `stat` whether its own copy is old.
"""

import json
import os
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from rightsmanager.errors import InternalError
from rightsmanager.lab.clock import SEEDED_CLOCK, SYSTEM_CLOCK, ClockSetting, clock_from

FILE: Final = "control.json"
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_SEED: Final = 2**53 - 1
"""The largest integer that every reader of JSON knows."""

Pki = Literal["shared", "own"]
Overrides = Mapping[str, Mapping[str, object]]
"""Settings by section and name, as JSON has them."""
FaultFacts = Mapping[str, object]
"""A fault as JSON has it; `lab.faults` reads it."""
Identity = tuple[int, int]
"""The inode and the time of a control file."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options that a world is made with, and has again after a reset."""

    seed: int | None = None
    """Makes everything random follow from the requests; None for the system's randomness."""
    clock: ClockSetting = SYSTEM_CLOCK
    settings: Overrides = field(default_factory=dict)
    pki: Pki = "shared"
    expires_after_seconds: int = 3600
    """The time after its last use at which the world is removed."""


@dataclass(frozen=True, slots=True)
class Control:
    """The present state of a world."""

    generation: str
    """Names the store; a reset makes another one."""
    revision: str
    """The revision of the store's schema."""
    created_at: float
    """Unix seconds, by the system's clock."""
    options: Options
    initial: Options
    epoch: int = 0
    """Counts the changes of the store after which caches are stale."""
    faults: tuple[FaultFacts, ...] = ()

    @property
    def building(self) -> tuple[object, ...]:
        """The parts that a world's server is built from; the others may change while it runs."""
        options = self.options
        return self.generation, self.epoch, options.seed, options.settings, options.pki


def clock_for(seed: int | None) -> ClockSetting:
    """Return the clock of a world whose options name none.

    Replies have times in them: with a running clock a seed would not repeat them.
    """
    return SYSTEM_CLOCK if seed is None else SEEDED_CLOCK


def new_generation() -> str:
    """Return a new name for a store."""
    return secrets.token_hex(8)


# --- JSON -----------------------------------------------------------------------------------------


def build_control(control: Control) -> bytes:
    """Return the file's content."""
    facts = {
        "generation": control.generation,
        "revision": control.revision,
        "created_at": control.created_at,
        "options": _options_facts(control.options),
        "initial": _options_facts(control.initial),
        "epoch": control.epoch,
        "faults": list(control.faults),
    }
    return json.dumps(facts).encode()


def parse_control(data: bytes) -> Control:
    """Return the control state in a file's content; raises InternalError."""
    try:
        facts = json.loads(data)
        return Control(
            generation=str(facts["generation"]),
            revision=str(facts["revision"]),
            created_at=float(facts["created_at"]),
            options=_options(facts["options"]),
            initial=_options(facts["initial"]),
            epoch=int(facts["epoch"]),
            faults=tuple(facts["faults"]),
        )
    except (ValueError, KeyError, TypeError):
        raise InternalError("a world's control.json is damaged: make the snapshot again") from None


def _options_facts(options: Options) -> dict[str, object]:
    return {
        "seed": options.seed,
        "clock": options.clock.facts(),
        "settings": options.settings,
        "pki": options.pki,
        "expires_after_seconds": options.expires_after_seconds,
    }


def _options(facts: Mapping[str, Any]) -> Options:
    return Options(
        seed=facts["seed"],
        clock=clock_from(facts["clock"]),
        settings=facts["settings"],
        pki=facts["pki"],
        expires_after_seconds=int(facts["expires_after_seconds"]),
    )


# --- files ----------------------------------------------------------------------------------------


def identify(file: Path | str) -> Identity | None:
    """Return a value that changes with each replacement of a file, None if there is none."""
    try:
        found = os.stat(file)  # noqa: PTH116 -- for each request
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def read_control(file: Path) -> tuple[Control, Identity] | None:
    """Return the control state and the identity of its file, None if there is none.

    A damaged file counts as none: a power failure may leave an empty one, and its world is lost.
    Raises OSError for a file that cannot be read now, as with too many open files: its world is
    not lost.
    """
    try:
        opened = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with os.fdopen(opened, "rb") as stream:
        found = os.fstat(opened)
        try:
            control = parse_control(stream.read())
        except InternalError:
            return None
        return control, (found.st_ino, found.st_mtime_ns)


def write_control(file: Path, control: Control) -> None:
    """Replace the control file, or make it in a folder that exists."""
    # Not flushed to the disk: a world need not outlive a power failure, and it takes milliseconds.
    draft = file.with_name(f".{FILE}.{secrets.token_hex(4)}")
    draft.write_bytes(build_control(control))
    # The file system's own clock ticks in milliseconds, and inodes are used again.
    now = time.time_ns()
    os.utime(draft, ns=(now, now))
    draft.replace(file)
