"""The cost of a licence in this tree, as a ratio to the cost in another revision.

Both are measured alternately in one run, so that other load slows both.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

ROUNDS = 24
HERE = Path.cwd()


def measure(revision: str) -> float:
    """Return the median ratio of this tree's cost to the revision's."""
    with _worktree(revision) as tree, _sampling(HERE) as ours, _sampling(tree) as theirs:
        for sampler in (ours, theirs):
            _ask(sampler)
        return median(_ask(ours) / _ask(theirs) for _ in range(ROUNDS))


@contextmanager
def _worktree(revision: str) -> Iterator[Path]:
    """Yield a folder with the revision, which is measured by its own bench.

    This tree's bench would import modules that the revision has under other names.
    """
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        _git("worktree", "add", "--quiet", "--detach", str(tree), revision)
        try:
            yield tree
        finally:
            _git("worktree", "remove", "--force", str(tree))


@contextmanager
def _sampling(tree: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "tests.bench.sampler"]
    sampler = subprocess.Popen(
        command, cwd=tree, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with sampler:
        yield sampler


def _ask(sampler: "subprocess.Popen[str]") -> float:
    assert sampler.stdin is not None
    assert sampler.stdout is not None
    sampler.stdin.write("\n")
    sampler.stdin.flush()
    return float(sampler.stdout.readline())


def _git(*words: str) -> None:
    subprocess.run(["git", *words], check=True)  # noqa: S607 -- any git will do
