"""Sweeps: what a job costs beyond composing, building and running, against single runs and plain Hydra, and memory.

    python benchmarks/sweep.py [--jobs 60] [--many 1000]

The same points of one tiny model, three ways: our sweep, a shell loop of single runs, and a script of ten lines that
Hydra alone sweeps (it composes, builds the model by hand and runs it, and leaves no table).
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

ROOT = pathlib.Path(__file__).resolve().parents[1]
PLAIN = """
import hydra, torch
from torch import nn

@hydra.main(config_path=None, version_base="1.3")
def main(cfg):
    torch.manual_seed(cfg.seed)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    with torch.no_grad():
        model(torch.randn(2, 4))

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
def job(cfg, of=launch._job_of_sweep):
    of(cfg)
    with open("/proc/self/statm") as file:
        memory.append(int(file.read().split()[1]) * 4096)
launch._job_of_sweep = job
code = cli.main()
json.dump({"code": code, "memory": memory, **spent}, open("spent.json", "w"))
"""


def seconds(command: list[str], folder: pathlib.Path) -> float:
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=60)
    parser.add_argument("--many", type=int, default=1000)
    options = parser.parse_args()
    jobs = options.jobs
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "plain.py").write_text(PLAIN)
        (folder / "inside.py").write_text(INSIDE)
        run = [sys.executable, str(ROOT / "run.py"), "model=regression"]
        ours = seconds([*run, "-m", f"seed=range({jobs})"], folder)
        plain = seconds([sys.executable, "plain.py", "-m", f"+seed=range({jobs})"], folder)
        single = statistics.median(seconds([*run, f"seed={seed}"], folder) for seed in range(3))
        print(f"{jobs} jobs of a tiny model, wall seconds")
        print(f"  our sweep                 {ours:8.2f}   {ours / jobs * 1000:7.1f} ms a job")
        print(f"  Hydra alone               {plain:8.2f}   {plain / jobs * 1000:7.1f} ms a job")
        print(f"  a shell loop (estimated)  {single * jobs:8.2f}   {single * 1000:7.1f} ms a job, median of 3 runs")
        seconds([sys.executable, "inside.py", "model=regression", "-m", f"seed=range({options.many})"], folder)
        spent = json.loads((folder / "spent.json").read_text())
        over = [a - b for a, b in zip(spent["perform"], spent["work"], strict=True)][1:]
        memory = spent["memory"]
        start, end = memory[len(memory) // 10], memory[-1]
        print(f"{len(memory)} jobs in one process")
        median, largest = statistics.median(over) * 1000, max(over) * 1000
        print(f"  beyond building and running, ms a job: median {median:.2f}, largest {largest:.1f}")
        print(f"  resident memory: {start / 1e6:.0f} MB after {len(memory) // 10} jobs, {end / 1e6:.0f} MB after all")


if __name__ == "__main__":
    main()
