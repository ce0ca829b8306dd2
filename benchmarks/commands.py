"""How long the commands take that need no torch, from the command line on: python benchmarks/commands.py [runs].

All of them run in turns, beside an empty program and a plain `import torch`; medians of wall time.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
from functools import partial

from timing import interleaved, report, verdict

ROOT = pathlib.Path(__file__).resolve().parents[1]
TORCH = "import torch"

WRONG = "inputs: {x: [2, 20]}\nlayers:\n  hidden: Linear(20, 256)\n  act: ReLUU\n  out: Linear(256, 10)\n"
"""A file with a wrong name."""

COMMANDS: dict[str, tuple[list[str], float | None]] = {
    "an empty program": (["-c", ""], None),
    TORCH: (["-c", "import torch"], None),
    "check FILE with a wrong name": (["-m", "modelzoo", "check", "wrong.yaml"], 0.3),
    "list layers": (["-m", "modelzoo", "list", "layers"], 0.5),
    "list layers LSTM": (["-m", "modelzoo", "list", "layers", "LSTM"], 0.5),
    "list models": (["-m", "modelzoo", "list", "models"], 0.5),
    "schema": (["-m", "modelzoo", "schema"], 0.5),
    "where model.layers": (["-m", "modelzoo", "where", "model.layers"], 0.5),
    "python -m modelzoo --help": (["-m", "modelzoo", "--help"], 0.5),
    "python run.py --help": ([str(ROOT / "run.py"), "--help"], 0.5),
    "python run.py --cfg job": ([str(ROOT / "run.py"), "--cfg", "job"], 0.5),
}
"""Their arguments, and the most seconds that each may take."""


def run(arguments: list[str], folder: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, check=False)
    assert ended.returncode in (0, 1), ended.stderr.decode()


def main(runs: int = 9) -> int:
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "wrong.yaml").write_text(WRONG)
        programs = {name: partial(run, arguments, folder) for name, (arguments, _) in COMMANDS.items()}
        times = interleaved(programs, runs)
    report("commands, wall time", times, TORCH)
    kept = True
    for name, (_, most) in COMMANDS.items():
        if most is not None:
            kept &= verdict(f"{name}, seconds", sorted(times[name])[runs // 2], most)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
