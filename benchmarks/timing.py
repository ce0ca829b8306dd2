"""Times programs in turns, so that whatever else the machine does meets all of them alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping

Times = Mapping[str, list[float]]
"""The seconds of each program, one for each round."""


def interleaved(
    programs: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Runs every program once in each round, after one round that does not count.

    Args:
        clock: `time.process_time` counts the processor's time of this process only: for what runs in one thread.
    """
    times: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(rounds + 1):
        for name, program in programs.items():
            gc.collect()
            start = clock()
            made = program()
            seconds = clock() - start
            del made
            if turn:
                times[name].append(seconds)
    return times


def ratio(times: Times, name: str, base: str) -> float:
    """How often the time of `base` a program takes: the median over the rounds."""
    return statistics.median(a / b for a, b in zip(times[name], times[base], strict=True))


def spread(values: list[float]) -> float:
    """The distance of the quartiles, as a share of the median."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / middle


def report(title: str, times: Times, base: str) -> None:
    """Prints the median, the spread and the ratio of each program to `base`."""
    rounds = len(times[base])
    print(f"\n{title} (median of {rounds}, spread of the quartiles)")
    for name, values in times.items():
        seconds = statistics.median(values)
        shown = f"{seconds:8.3f} s " if seconds >= 1 else f"{1e3 * seconds:8.3f} ms"
        print(f"  {name:44} {shown} +-{50 * spread(values):4.1f} %   {ratio(times, name, base):6.2f}x", flush=True)


def verdict(what: str, measured: float, limit: float) -> bool:
    """Prints whether a number is within its limit."""
    kept = measured <= limit
    print(f"  {'kept  ' if kept else 'MISSED'}  {what}: {measured:.2f}, at most {limit:g}", flush=True)
    return kept
