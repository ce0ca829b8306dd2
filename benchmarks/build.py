"""What it costs to build a model from a config, beside construction by hand and other tools, and how that grows.

    python benchmarks/build.py [rounds] [shapes growth large]

Every time of ours is from a plain dict (or a DictConfig) to the built and initialised module, dry run included.
"""

from __future__ import annotations

import itertools
import math
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from timing import interleaved, ratio, report, verdict
from torch import nn

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
import modelzoo  # noqa: E402
from modelzoo.language import syntax  # noqa: E402
from modelzoo.spec import parser  # noqa: E402

HAND = "by hand"
OURS = "modelzoo, from a dict"
HYDRA = "hydra.utils.instantiate"
SIZES = (10, 100, 1_000, 5_000)
GROUP = 10
LAYERS_OF_A_BLOCK = 6  # of the decoder


# --- one model as sizes of linear layers, in each tool's own words ---------------------------------------------------


def widths(count: int, width: int) -> list[int]:
    """Sizes around a width, so that layers differ: 961 pairs before one comes again."""
    return [width - 15 + (i % 31 + i // 31 * (i % 2)) % 31 for i in range(count + 1)]


def equal(count: int, width: int) -> list[int]:
    return [width] * (count + 1)


def pairs(sizes: list[int]) -> list[tuple[int, int]]:
    return list(itertools.pairwise(sizes))


def hand(sizes: list[int]) -> nn.Module:
    return nn.Sequential(*(nn.Linear(a, b) for a, b in pairs(sizes)))


def hand_nested(sizes: list[int]) -> nn.Module:
    layers = [nn.Linear(a, b) for a, b in pairs(sizes)]
    return nn.Sequential(*(nn.Sequential(*layers[i : i + GROUP]) for i in range(0, len(layers), GROUP)))


def flat(sizes: list[int]) -> dict[str, Any]:
    return {"inputs": {"x": [2, sizes[0]]}, "layers": [f"Linear({a}, {b})" for a, b in pairs(sizes)]}


def as_mappings(sizes: list[int]) -> dict[str, Any]:
    nodes = [{"_target_": "Linear", "in_features": a, "out_features": b} for a, b in pairs(sizes)]
    return {"inputs": {"x": [2, sizes[0]]}, "layers": nodes}


def nested(sizes: list[int]) -> dict[str, Any]:
    layers = flat(sizes)["layers"]
    groups = [layers[i : i + GROUP] for i in range(0, len(layers), GROUP)]
    return {"inputs": {"x": [2, sizes[0]]}, "layers": groups}


def repeated(sizes: list[int]) -> dict[str, Any]:
    node = {"_target_": f"Linear({sizes[0]}, {sizes[1]})", "_repeat_": len(sizes) - 1}
    return {"inputs": {"x": [2, sizes[0]]}, "layers": [node]}


def for_hydra(sizes: list[int]) -> dict[str, Any]:
    nodes = [{"_target_": "torch.nn.Linear", "in_features": a, "out_features": b} for a, b in pairs(sizes)]
    return {"_target_": "torch.nn.Sequential", "_args_": nodes}


def instantiated(sizes: list[int]) -> Callable[[], object]:
    import hydra

    return partial(hydra.utils.instantiate, for_hydra(sizes))


def instantiated_from_dictconfig(sizes: list[int]) -> Callable[[], object]:
    import hydra
    from omegaconf import OmegaConf

    return partial(hydra.utils.instantiate, OmegaConf.create(for_hydra(sizes)))


def from_dictconfig(sizes: list[int]) -> Callable[[], object]:
    from omegaconf import OmegaConf

    config = OmegaConf.create(flat(sizes))
    return lambda: modelzoo.build(config)


def by_fiddle(sizes: list[int]) -> Callable[[], object]:
    import fiddle

    def build() -> object:
        layers = [fiddle.Config(nn.Linear, in_features=a, out_features=b) for a, b in pairs(sizes)]
        return nn.Sequential(*fiddle.build(layers))

    return build


def by_mmengine(sizes: list[int]) -> Callable[[], object]:
    from mmengine.registry import Registry

    registry = Registry("layers", locations=["torch.nn"])
    registry.register_module(module=nn.Linear)
    nodes = [{"type": "Linear", "in_features": a, "out_features": b} for a, b in pairs(sizes)]
    return lambda: nn.Sequential(*(registry.build(node) for node in nodes))


PEERS: dict[str, Callable[[list[int]], Callable[[], object]]] = {
    "modelzoo, from a DictConfig": from_dictconfig,
    HYDRA: instantiated,
    "hydra.utils.instantiate, from a DictConfig": instantiated_from_dictconfig,
    "fiddle": by_fiddle,
    "mmengine": by_mmengine,
}


def peers(sizes: list[int]) -> dict[str, Callable[[], object]]:
    return {name: made for name, make in PEERS.items() if (made := installed(name, make, sizes)) is not None}


def installed(
    name: str, make: Callable[[list[int]], Callable[[], object]], sizes: list[int]
) -> Callable[[], object] | None:
    try:
        return make(sizes)
    except ImportError as error:
        print(f"  {name}: not installed ({error})")
        return None


# --- a model like GPT-2 ----------------------------------------------------------------------------------------------


class Attention(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)


class Block(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = Attention(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.wide = nn.Linear(dim, 4 * dim)
        self.narrow = nn.Linear(4 * dim, dim)


class Decoder(nn.Module):
    def __init__(self, dim: int, depth: int, words: int, places: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, dim)
        self.places = nn.Embedding(places, dim)
        self.blocks = nn.Sequential(*(Block(dim) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, words, bias=False)


def decoder(dim: int, depth: int, words: int, places: int, heads: int) -> dict[str, Any]:
    attention = {
        "args": ["dim", "heads"],
        "layers": {"qkv": "Linear(dim, 3 * dim)", "out": "Linear(dim, dim)"},
        "forward": """
            b, t, _ = x.shape
            q, k, v = qkv(x).view(b, t, 3, heads, dim // heads).permute(2, 0, 3, 1, 4).unbind(0)
            x = scaled_dot_product_attention(q, k, v, is_causal=True)
            return out(x.transpose(1, 2).reshape(b, t, dim))
        """,
    }
    block = {
        "args": ["dim", "heads"],
        "layers": {
            "norm1": "LayerNorm(dim)",
            "attention": "Attention(dim, heads)",
            "norm2": "LayerNorm(dim)",
            "wide": "Linear(dim, 4 * dim)",
            "narrow": "Linear(4 * dim, dim)",
        },
        "forward": "x = x + attention(norm1(x))\nreturn x + narrow(gelu(wide(norm2(x))))",
    }
    return {
        "args": {"dim": dim, "depth": depth, "heads": heads},
        "inputs": {"tokens": {"shape": [1, 8], "dtype": "int64"}},
        "blocks": {"Attention": attention, "Block": block},
        "layers": {
            "words": f"Embedding({words}, dim)",
            "places": f"Embedding({places}, dim)",
            "blocks": {"_target_": "Block(dim, heads)", "_repeat_": "depth"},
            "norm": "LayerNorm(dim)",
            "head": f"Linear(dim, {words}, bias=False)",
        },
        "forward": "head(norm(blocks(words(tokens) + places(arange(tokens.shape[1])))))",
    }


# --- the measurements ------------------------------------------------------------------------------------------------


def first_time(config: dict[str, Any]) -> object:
    """With no text parsed before."""
    for cached in (syntax.parse_expression, syntax.parse_statements):
        cached.cache_clear()
    parser.KNOWN.clear()
    return modelzoo.build(config)


def shapes(rounds: int) -> bool:
    """1,000 layers, in every notation, beside every tool; the limits are for the smallest."""
    kept = True
    for width in (8, 64):
        sizes = equal(1_000, width)
        times = measured(rounds, notations(sizes))
        report(f"1,000 equal Linear({width}, {width})", times, HAND)
        if width == 8:
            kept &= verdict("modelzoo, from a dict / by hand", ratio(times, OURS, HAND), 1.5)
            kept &= verdict("modelzoo with _repeat_ / by hand", ratio(times, "modelzoo, repeated", HAND), 1.0)
        times = measured(rounds, beside(sizes))
        report("the same beside other tools", times, HAND)
        if width == 8 and HYDRA in times:
            kept &= verdict("modelzoo, from a dict / hydra", ratio(times, OURS, HYDRA), round(1 / 12, 3))
    sizes = widths(1_000, 64)
    times = measured(rounds, beside(sizes))
    report(f"1,000 Linear of different sizes, width {min(sizes)} to {max(sizes)}", times, HAND)
    gpt = decoder(64, 12, 1_000, 64, 4)
    programs = {HAND: lambda: Decoder(64, 12, 1_000, 64), OURS: lambda: modelzoo.build(gpt)}
    report("like GPT-2: 12 blocks of width 64", measured(rounds, programs), HAND)
    return kept


def beside(sizes: list[int]) -> dict[str, Callable[[], object]]:
    return {HAND: lambda: hand(sizes), OURS: partial(modelzoo.build, flat(sizes)), **peers(sizes)}


def notations(sizes: list[int]) -> dict[str, Callable[[], object]]:
    ways = {"mappings": as_mappings, "nested": nested, "repeated": repeated}
    config = flat(sizes)
    return {
        HAND: lambda: hand(sizes),
        "by hand, nested": lambda: hand_nested(sizes),
        OURS: partial(modelzoo.build, config),
        "modelzoo, no text parsed before": lambda: first_time(config),
        **{f"modelzoo, {way}": partial(modelzoo.build, make(sizes)) for way, make in ways.items()},
    }


def measured(rounds: int, programs: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    return interleaved(programs, rounds, time.process_time)


def growth(rounds: int) -> bool:
    """From 10 to 5,000 layers, with the exponent of a power law from 100 on."""
    ways: dict[str, Callable[[int], dict[str, Any]]] = {
        "flat": lambda count: flat(equal(count, 8)),
        "nested": lambda count: nested(equal(count, 8)),
        "repeated": lambda count: repeated(equal(count, 8)),
        "like GPT-2": lambda count: decoder(8, max(count // LAYERS_OF_A_BLOCK, 1), 100, 64, 2),
    }
    kept = True
    for way, make in ways.items():
        programs = {f"{way}, {count:,} layers": partial(modelzoo.build, make(count)) for count in SIZES}
        times = measured(rounds, programs)
        names = list(programs)
        report("growth", times, names[2])
        exponent = math.log(ratio(times, names[3], names[1])) / math.log(SIZES[3] / SIZES[1])
        print(f"  exponent from {SIZES[1]:,} to {SIZES[3]:,} layers: {exponent:.2f}")
        kept &= verdict("time(5,000) / time(1,000)", ratio(times, names[3], names[2]), 6)
    return kept


LARGE = """
import resource, sys, time
sys.path.insert(0, {root!r})
import torch
import modelzoo
model = modelzoo.load({file!r})["model"]
model["args"].update(vocab=128_256, dim=8192, layers=80, heads=64, kv_heads=8, width=28_672)
start = time.process_time()
plan = modelzoo.plan(model)
print(time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, plan.parameters)
"""
PUBLISHED = 70_553_706_496
"""The parameters of Llama 3 70B."""


def large(_: int) -> bool:
    """Llama 3 70B, planned in a process of its own."""
    code = LARGE.format(root=str(ROOT), file=str(ROOT / "conf" / "model" / "llama.yaml"))
    results = []
    for _ in range(3):
        made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        results.append(tuple(map(float, made.stdout.split())))
    seconds, memory, parameters = (statistics.median(each) for each in zip(*results, strict=True))
    print(f"\na decoder of {PUBLISHED:,} parameters, 80 blocks of width 8192, planned")
    kept = verdict("seconds of the processor", seconds, 3) & verdict("GB", memory, 1.5)
    return kept & verdict("parameters too many or too few", abs(parameters - PUBLISHED), 0)


PARTS = {"shapes": shapes, "growth": growth, "large": large}


def main(rounds: int = 7, *chosen: str) -> int:
    torch.set_num_threads(1)
    return 0 if min([PARTS[name](rounds) for name in chosen or PARTS]) else 1


if __name__ == "__main__":
    count, *names = sys.argv[1:] or ["7"]
    sys.exit(main(int(count), *names))
