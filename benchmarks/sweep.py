"""Sweeps: what a job costs, against single runs and against Hydra's own loop that does nothing, and memory.

    python benchmarks/sweep.py [--jobs 60] [--many 1000]

The same points, three ways: our sweep of a tiny model, a shell loop of single runs, and an empty task that Hydra sweeps
over a config of three layers: it composes, builds nothing and writes nothing but Hydra's own files. What the start
takes is measured with few jobs and taken off. Ends with 1 if a job takes more than half of one of Hydra's.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import timing

ROOT = pathlib.Path(__file__).resolve().parents[1]
LIMIT, FEW = 0.5, 10
EMPTY = """
import hydra
from hydra.core.config_store import ConfigStore

LAYERS = {name: {"_target_": "torch.nn.Linear", "in_features": 8, "out_features": 8} for name in "abc"}
ConfigStore.instance().store(name="config", node={"seed": 0, "layers": LAYERS})

@hydra.main(config_path=None, config_name="config", version_base="1.3")
def main(cfg):
    pass

if __name__ == "__main__":
    main()
"""
INSIDE = """
import json, resource, sys, time
from modelzoo import api
from modelzoo import cli
from modelzoo.cli import launch
from modelzoo.run import job as jobs, sweep
spent, memory = {"perform": [], "work": []}, []
def timed(name, function):
    def call(*args, **kwargs):
        start = time.perf_counter()
        result = function(*args, **kwargs)
        spent[name].append(time.perf_counter() - start)
        return result
    return call
sweep.Sweep.perform = timed("perform", sweep.Sweep.perform)
jobs.run = timed("work", jobs.run)
def job(cfg, code, of=launch._job_of_sweep):
    of(cfg, code)
    with open("/proc/self/statm") as file:
        memory.append(int(file.read().split()[1]) * 4096)
launch._job_of_sweep = job
code = cli.main()
json.dump({"code": code, "memory": memory, **spent}, open("spent.json", "w"))
"""


def seconds(command: list[str], folder: pathlib.Path) -> float:
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def of_a_job(command: list[str], jobs: int, folder: pathlib.Path) -> float:
    """The seconds of one job of a sweep over seeds, without those of the start."""
    few, many = (seconds([*command, "-m", f"seed=range({count})"], folder / str(count)) for count in (FEW, FEW + jobs))
    return (many - few) / jobs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=60)
    parser.add_argument("--many", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "empty.py").write_text(EMPTY)
        (folder / "inside.py").write_text(INSIDE)
        run = [sys.executable, str(ROOT / "run.py"), "model=regression"]
        kept = True
        for jobs in (options.jobs, options.many):
            ours = of_a_job(run, jobs, folder / "ours")
            plain = of_a_job([sys.executable, str(folder / "empty.py")], jobs, folder / "plain")
            print(f"{jobs} jobs in one process, wall time")
            print(f"  our sweep of a tiny model   {ours * 1000:7.1f} ms a job")
            print(f"  Hydra's loop, empty         {plain * 1000:7.1f} ms a job")
            kept &= timing.verdict("ours / Hydra's", ours / plain, LIMIT)
        spread = of_a_job([*run, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], options.jobs, folder / "joblib")
        print(f"{options.jobs} jobs in two processes of joblib: {spread * 1000:.1f} ms a job")
        single = statistics.median(seconds([*run, f"seed={seed}"], folder) for seed in range(3))
        print(f"a run of its own (median of 3)  {single * 1000:7.1f} ms")
        seconds([sys.executable, "inside.py", "model=regression", "-m", f"seed=range({options.many})"], folder)
        spent = json.loads((folder / "spent.json").read_text())
        over = [a - b for a, b in zip(spent["perform"], spent["work"], strict=True)][1:]
        memory = spent["memory"]
        start, end = memory[len(memory) // 10], memory[-1]
        print(f"{len(memory)} jobs in one process")
        median, largest = statistics.median(over) * 1000, max(over) * 1000
        print(f"  beyond building and running, ms a job: median {median:.2f}, largest {largest:.1f}")
        print(f"  resident memory: {start / 1e6:.0f} MB after {len(memory) // 10} jobs, {end / 1e6:.0f} MB after all")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
