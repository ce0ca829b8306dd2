"""Builds that have a goal, each beside construction by hand of the same tree: python benchmarks/goals.py [rounds]."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from build import (
    HAND,
    OURS,
    Decoder,
    decoder,
    equal,
    flat,
    hand,
    instantiated_from_dictconfig,
    measured,
    repeated,
    widths,
)
from timing import ratio, report, verdict
from torch import nn

import modelzoo

COUNT = 1_000
HYDRA = "hydra.utils.instantiate, from a DictConfig"


def pairs(sizes: list[int]) -> dict[str, Any]:
    """Linear and ReLU in turns."""
    layers = [each for text in flat(sizes)["layers"] for each in (text, "ReLU")]
    return {**flat(sizes), "layers": layers}


def hand_pairs(sizes: list[int]) -> nn.Module:
    return nn.Sequential(*(each for linear in hand(sizes).children() for each in (linear, nn.ReLU())))


def repeated_pairs(sizes: list[int]) -> dict[str, Any]:
    pair = {"layers": flat(sizes[:2])["layers"] + ["ReLU"], "_repeat_": len(sizes) - 1}
    return {**flat(sizes), "layers": [pair]}


def hand_repeated(sizes: list[int]) -> nn.Module:
    linears = hand(sizes).children()
    return nn.Sequential(nn.Sequential(*(nn.Sequential(each, nn.ReLU()) for each in linears)))


Row = tuple[Callable[[], object], dict[str, Any], float]
"""By hand, the config, and how often the time of the one the other may take."""


def rows() -> dict[str, Row]:
    same, others = equal(COUNT, 8), widths(COUNT, 64)
    gpt = decoder(64, 12, 1_000, 64, 4)
    return {
        f"{COUNT:,} equal layers": (partial(hand, same), flat(same), 1.0),
        "the same with _repeat_": (partial(hand, same), repeated(same), 0.8),
        f"{COUNT:,} pairs of Linear and ReLU": (partial(hand_pairs, same), pairs(same), 1.1),
        "the same with _repeat_, as blocks": (partial(hand_repeated, same), repeated_pairs(same), 0.9),
        "pairs of different sizes": (partial(hand_pairs, others), pairs(others), 1.5),
        "961 different sizes": (partial(hand, others), flat(others), 1.4),
        "like GPT-2, 12 blocks of width 64": (lambda: Decoder(64, 12, 1_000, 64), gpt, 1.3),
    }


def beside_hydra(rounds: int) -> bool:
    """Hydra from a DictConfig, ours from one too."""
    from omegaconf import OmegaConf

    sizes = equal(COUNT, 8)
    config = OmegaConf.create(flat(sizes))
    programs = {OURS: lambda: modelzoo.build(config), HYDRA: instantiated_from_dictconfig(sizes)}
    times = measured(max(rounds // 3, 3), programs)
    report(f"{COUNT:,} equal layers, both from a DictConfig", times, OURS)
    return verdict("modelzoo / hydra", ratio(times, OURS, HYDRA), round(1 / 15, 3))


def main(rounds: int = 15) -> int:
    torch.set_num_threads(1)
    kept = True
    for name, (by_hand, config, most) in rows().items():
        times = measured(rounds, {HAND: by_hand, OURS: partial(modelzoo.build, config)})
        report(name, times, HAND)
        kept &= verdict(f"{name}: modelzoo / by hand", ratio(times, OURS, HAND), most)
    ten = {HAND: partial(hand, equal(10, 8)), OURS: partial(modelzoo.build, flat(equal(10, 8)))}
    report("10 equal layers", measured(10 * rounds, ten), HAND)
    kept &= beside_hydra(rounds)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
