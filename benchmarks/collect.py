"""How long pytest takes to collect 1,000 tests that are written as configs, and how long it takes without any.

    python benchmarks/collect.py [runs]

Collects a folder with ten files of a hundred tests and an empty one in turns, and prints the medians of the processor
time, which other programs on the machine disturb less than the wall time.
"""

from __future__ import annotations

import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile

LIMIT = 2.0

TEST = """\
shared_{0}_is_one_layer:
  config: [model=shared, init=xavier, model.args.dim={0}]
  expect:
    output: {{shape: [2, 1], finite: true}}
    parameters: 121
    tensors: {{"2.weight": {{shape: [8, 8], same_as: 4.weight, std: {{value: 0.35, within: 0.1}}}}}}
"""


def _seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(runs: int = 5) -> int:
    times: dict[str, list[float]] = {"1,000 tests": [], "none": []}
    with tempfile.TemporaryDirectory() as name:
        full, empty = pathlib.Path(name, "full"), pathlib.Path(name, "empty")
        for folder in (full, empty):
            folder.mkdir()
        for file in range(10):
            text = "".join(TEST.format(100 * file + each + 1) for each in range(100))
            (full / f"test_{file}.yaml").write_text(text)
        for turn in range(runs + 1):
            for folder, found in zip((full, empty), times.values(), strict=True):
                start = _seconds()
                done = subprocess.run(
                    [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"],
                    cwd=folder,
                    capture_output=True,
                    text=True,
                )
                if turn:  # the first turn reads the files from disk
                    found.append(_seconds() - start)
                expected = "1000 tests collected" if folder == full else "no tests collected"
                if expected not in done.stdout:
                    print(done.stdout[-1000:], done.stderr, "Is the plugin installed? Type pip install -e .")
                    return 2
    medians = [statistics.median(each) for each in times.values()]
    for name, median in zip(times, medians, strict=True):
        print(f"{name:12} {median:6.3f} s")
    print(f"{'difference':12} {medians[0] - medians[1]:6.3f} s, limit {LIMIT} s")
    return 0 if medians[0] - medians[1] <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
