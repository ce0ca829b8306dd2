"""How long the main job takes beside a script that only imports torch and Hydra, composes the same config and exits.

    python benchmarks/start.py [runs] [overrides ...]

Runs the three programs in turns and prints the median wall time of each, its spread, and the ratios.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys
import tempfile
from functools import partial

from timing import interleaved, ratio, report, verdict

ROOT = pathlib.Path(__file__).resolve().parents[1]
JOB, SCRIPT, TORCH = "python run.py", "import torch, hydra; compose", "import torch"
LIMITS = {SCRIPT: 1.2, TORCH: 1.0}

BARE = f"""
import sys
import torch
import hydra

with hydra.initialize_config_dir({str(ROOT / "conf")!r}, version_base="1.3"):
    hydra.compose("config", sys.argv[1:])
"""


def main(runs: int = 9, overrides: tuple[str, ...] = ("model=nested", "init=xavier")) -> int:
    programs = {
        JOB: [str(ROOT / "run.py"), *overrides],
        SCRIPT: ["-c", BARE, *overrides],
        TORCH: ["-c", "import torch"],
    }
    with tempfile.TemporaryDirectory() as folder:
        run = partial(subprocess.run, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        times = interleaved({name: partial(run, [sys.executable, *each]) for name, each in programs.items()}, runs)
    report("the main job, wall time", times, TORCH)
    return 0 if min([verdict(f"main job / {name}", ratio(times, JOB, name), LIMITS[name]) for name in LIMITS]) else 1


if __name__ == "__main__":
    count, *rest = sys.argv[1:] or ["9"]
    sys.exit(main(int(count), tuple(rest) or ("model=nested", "init=xavier")))
