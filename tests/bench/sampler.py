"""A process that answers each line on its input with the CPU seconds of one licence.

`tests.bench.against` asks two of them, on two trees, alternately.
"""

import gc
import sys
import tempfile
from pathlib import Path

from tests.bench import process
from tests.bench.fixture import Bench


def main() -> None:
    """Answer until the input ends."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        bench.prepare()
        server, device = bench.server("auto"), bench.device()
        process.sample(server, bench.challenges(device, process.EACH))
        gc.collect()
        gc.freeze()
        for _ in sys.stdin:
            seconds = process.sample(server, bench.challenges(device, process.EACH))
            sys.stdout.write(f"{seconds}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
