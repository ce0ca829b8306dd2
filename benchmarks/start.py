"""How long the main job takes beside a script that only imports torch and Hydra, composes the same config and exits.

    python benchmarks/start.py [runs] [overrides ...]

Runs the three programs in turns and prints the median wall time of each, and the ratios.
"""

from __future__ import annotations

import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
LIMIT = 1.2

BARE = f"""
import sys
import torch
import hydra

with hydra.initialize_config_dir({str(ROOT / "conf")!r}, version_base="1.3"):
    hydra.compose("config", sys.argv[1:])
"""


def main(runs: int = 9, overrides: tuple[str, ...] = ("model=nested", "init=xavier")) -> int:
    programs = {
        "python run.py": [str(ROOT / "run.py"), *overrides],
        "import torch, hydra; compose": ["-c", BARE, *overrides],
        "import torch": ["-c", "import torch"],
    }
    times: dict[str, list[float]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(runs + 1):
            for name, arguments in programs.items():
                start = time.perf_counter()
                subprocess.run([sys.executable, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)
                if turn:  # the first turn reads the files from disk
                    times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    job, *others = medians.values()
    for name, median in medians.items():
        print(f"{name:30} {median:6.3f} s   main job / this: {job / median:.2f}x")
    return 0 if job <= LIMIT * others[0] else 1


if __name__ == "__main__":
    count, *rest = sys.argv[1:] or ["9"]
    sys.exit(main(int(count), tuple(rest) or ("model=nested", "init=xavier")))
