"""A device that is killed at any moment has counted what it said that it counted."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from rightsmanager.crypto.random import seeded_random
from rightsmanager.device.journal import open_journal
from rightsmanager.device.usage import MeteringStore
from rightsmanager.protocol.wire import Mid

if TYPE_CHECKING:
    from pathlib import Path

MID = Mid(bytes(16))
COUNTING = """
import sys
from pathlib import Path
from rightsmanager.crypto.random import system_random
from rightsmanager.device.journal import open_journal
from rightsmanager.device.usage import MeteringStore, count
from rightsmanager.protocol.messages.metering import Usage
from rightsmanager.protocol.wire import Kid, Mid

journal = open_journal(Path(sys.argv[1]))
mid, kid = Mid(bytes(16)), Kid(bytes(16))
while True:
    with journal.transaction() as connection:
        count(connection, mid, Usage(kid, "Play", 1))
    print("counted", flush=True)
    report = MeteringStore(journal).freeze(mid, system_random)
    print(report.transaction_id.text, report.usage[0].value, flush=True)
    MeteringStore(journal).clear(report)
"""


@pytest.mark.parametrize("lines", [1, 2, 15, 38])
def test_a_count_is_kept_or_was_never_told(tmp_path: Path, lines: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", COUNTING, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        told += process.stdout.readlines()
    # The last line may be cut.
    told = [line for line in told if line.endswith("\n")]
    counted = told.count("counted\n")
    reported = dict(line.split() for line in told if line != "counted\n")
    with closing(open_journal(tmp_path)) as journal:
        rest = MeteringStore(journal).freeze(MID, seeded_random(b"rest"))
    if rest is not None:
        # A repeated report has the same id, and so counts once.
        value = str(rest.usage[0].value)
        assert reported.setdefault(rest.transaction_id.text, value) == value
    assert sum(map(int, reported.values())) in {counted, counted + 1}
