"""How long the models of the zoo take beside their references: forward, and forward with backward.

    python benchmarks/zoo.py [--full] [--rounds 31] [names ...]

Both run in turns on one thread with the same weights and the same input, small ones by default, where what surrounds
the arithmetic weighs most. Prints the median of the ratios (model / reference) with their quartiles, and exits with 1
if a forward is slower than the limit.
"""

from __future__ import annotations

import argparse
import gc
import pathlib
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from timing import interleaved
from torch import Tensor, nn

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import modelzoo  # noqa: E402
from tests.helpers import zoo_language, zoo_vision  # noqa: E402
from tests.helpers.composing import compose  # noqa: E402

LIMIT = 1.05
SAMPLE = 0.01
"""Small models are called until about so many seconds have passed."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A built model, what it is compared with, and what both are called with."""

    model: nn.Module
    reference: nn.Module
    inputs: tuple[Tensor, ...]


def vision(name: str, full: bool) -> Pair:
    twin = zoo_vision.TWINS[name]
    config, _ = compose(f"model={name}", *(() if full else twin.overrides))
    reference = twin.make(**({} if full else twin.small))
    model = modelzoo.build(config)
    model.load_state_dict(reference.state_dict())
    shape = modelzoo.plan(config).inputs[0].shape if full else twin.image
    return Pair(model=model, reference=reference, inputs=(torch.rand(shape),))


def language(name: str, full: bool) -> Pair:
    twin = zoo_language.TWINS[name]
    args = {} if full else twin.small
    config, _ = compose(f"model={name}", *(() if full else twin.overrides))
    reference = twin.make(**args)
    model = modelzoo.build(config)
    model.load_state_dict(reference.state_dict())
    return Pair(model=model, reference=reference, inputs=twin.inputs(**args))


PAIRS: dict[str, Callable[[bool], Pair]] = {
    **{name: partial(vision, name) for name in zoo_vision.TWINS},
    **{name: partial(language, name) for name in zoo_language.TWINS},
}
"""Makes the pair of each model, at its full size or at a small one."""


def forward(model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    with torch.no_grad():
        model(*inputs)


def backward(model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    model.zero_grad(set_to_none=True)
    torch.stack([each.sum() for each in tensors(model(*inputs))]).sum().backward()


def tensors(output: Any) -> Iterator[Tensor]:
    """The floating tensors of an output, however they are bundled."""
    if isinstance(output, Tensor):
        if output.is_floating_point():
            yield output
    else:
        for each in output.values() if isinstance(output, dict) else output:
            yield from tensors(each)


def ratios(pair: Pair, step: Callable[[nn.Module, tuple[Tensor, ...]], None], rounds: int) -> list[float]:
    """The time of the model over that of the reference, in each round."""
    (once,) = interleaved({"reference": partial(step, pair.reference, pair.inputs)}, 1)["reference"]
    calls = range(max(1, round(SAMPLE / once)))

    def repeated(model: nn.Module) -> None:
        for _ in calls:
            step(model, pair.inputs)

    times = interleaved({each: partial(repeated, getattr(pair, each)) for each in ("model", "reference")}, rounds)
    return [one / other for one, other in zip(times["model"], times["reference"], strict=True)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Times the models of the zoo beside their references.")
    parser.add_argument("names", nargs="*", default=[*PAIRS], metavar="name", help=", ".join(PAIRS))
    parser.add_argument("--full", action="store_true", help="at full size")
    parser.add_argument("--rounds", type=int, default=31, help="how often both run (31)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    slow = []
    print(f"{'model / reference':20}  {'forward':22}  forward and backward")
    for name in given.names:
        pair = PAIRS[name](given.full)
        gc.freeze()  # between two samples garbage is collected: not what was imported
        cells = []
        for step, training in ((forward, False), (backward, True)):
            pair.model.train(training), pair.reference.train(training)
            low, middle, high = statistics.quantiles(ratios(pair, step, given.rounds), n=4)
            cells.append(f"{middle:.3f} ({low:.3f} to {high:.3f})")
            slow += [name] if step is forward and middle > LIMIT else []
        print(f"{name:20}  {cells[0]:22}  {cells[1]}", flush=True)
    if slow:
        print(f"slower than {LIMIT} in the forward: {', '.join(slow)}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
