"""What it costs to construct and initialise a model, beside the ways there are in PyTorch.

    python benchmarks/init.py [rounds] [gpt2 wide tiny memory]

Models: GPT-2 small (124 million parameters), 200 x Linear(1024, 1024), 10,000 x Linear(8, 8) with a dry run.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from timing import interleaved, ratio, report, verdict
from torch import nn

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
import modelzoo  # noqa: E402

HAND = "by hand: construct, then apply"
OURS = "modelzoo"
RULES = {
    "weights": {"layer": ["Linear", "Embedding"], "param": "weight", "fill": "normal(std=0.02)"},
    "biases": {"layer": "Linear", "param": "bias", "fill": 0},
}
Make = Callable[..., nn.Module]


def initialise(module: nn.Module) -> None:
    """The same as `RULES`."""
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)
        if getattr(module, "bias", None) is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)


# --- the models: their layers as (type, arguments), what puts them together, and their configs -----------------------

Layers = list[tuple[type[nn.Module], dict[str, Any]]]


def gpt2_layers(width: int = 768, depth: int = 12, words: int = 50257, places: int = 1024) -> Layers:
    def linear(a: int, b: int, **more: Any) -> tuple[type[nn.Module], dict[str, Any]]:
        return nn.Linear, {"in_features": a, "out_features": b, **more}

    norm = (nn.LayerNorm, {"normalized_shape": width})
    block = [norm, linear(width, 3 * width), linear(width, width), norm]
    block += [linear(width, 4 * width), linear(4 * width, width)]
    embeddings = [(nn.Embedding, {"num_embeddings": n, "embedding_dim": width}) for n in (words, places)]
    return [*embeddings, *(block * depth), norm, linear(width, words, bias=False)]


def gpt2_config(width: int = 768, depth: int = 12, words: int = 50257, places: int = 1024) -> dict[str, Any]:
    block = ["LayerNorm(dim)", "Linear(dim, 3 * dim)", "Linear(dim, dim)"]
    block += ["LayerNorm(dim)", "Linear(dim, 4 * dim)", "Linear(4 * dim, dim)"]
    return {
        "args": {"dim": width},
        "layers": {
            "wte": f"Embedding({words}, dim)",
            "wpe": f"Embedding({places}, dim)",
            "blocks": {"layers": block, "_repeat_": depth},
            "norm": "LayerNorm(dim)",
            "head": f"Linear(dim, {words}, bias=False)",
        },
        "forward": "head(norm(blocks(wte(x))))",
        "tie": {"head.weight": "wte.weight"},
    }


def tie(model: nn.Module) -> nn.Module:
    """What the tie of the config does, where there is something to tie."""
    layers = list(model.children())
    if isinstance(layers[0], nn.Embedding):
        layers[-1].weight = layers[0].weight
    return model


def hand(layers: Layers) -> nn.Module:
    return tie(nn.Sequential(*(cls(**arguments) for cls, arguments in layers))).apply(initialise)


def skip_init(layers: Layers) -> nn.Module:
    return tie(nn.Sequential(*(nn.utils.skip_init(cls, **a) for cls, a in layers))).apply(initialise)


def meta(layers: Layers) -> nn.Module:
    with torch.device("meta"):
        model = nn.Sequential(*(cls(**arguments) for cls, arguments in layers))
    return tie(tie(model).to_empty(device="cpu")).apply(initialise)


def limit(layers: Layers) -> nn.Module:
    with torch.device("meta"):
        model = nn.Sequential(*(cls(**arguments) for cls, arguments in layers))
    tie(tie(model).to_empty(device="cpu"))
    with torch.no_grad():
        for each in model.parameters():
            each.fill_(0.5)
    return model


def hydra_config(layers: Layers) -> Any:
    from omegaconf import OmegaConf

    nodes = [{"_target_": f"torch.nn.{cls.__name__}", **arguments} for cls, arguments in layers]
    return OmegaConf.create({"_target_": "torch.nn.Sequential", "_args_": nodes})


def by_hydra(config: Any) -> nn.Module:
    import hydra

    return tie(hydra.utils.instantiate(config)).apply(initialise)


# --- the measurements ------------------------------------------------------------------------------------------------


def compare(title: str, layers: Layers, config: dict[str, Any], rounds: int, *, peers: bool = True) -> dict[str, Any]:
    composed = hydra_config(layers)
    programs: dict[str, Callable[[], object]] = {
        HAND: lambda: hand(layers),
        OURS: lambda: modelzoo.build(config, RULES),
    }
    if peers:
        programs |= {
            "skip_init, then apply": lambda: skip_init(layers),
            "meta, to_empty, then apply": lambda: meta(layers),
            "hydra.utils.instantiate, then apply": lambda: by_hydra(composed),
            "the limit: to_empty, then fill_": lambda: limit(layers),
        }
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    times = interleaved(programs, rounds, clock)
    report(f"{title}, {torch.get_num_threads()} thread(s)", times, HAND)
    return times


def gpt2(rounds: int) -> bool:
    kept = True
    for threads, faster in ((1, 1.45), (2, 2.8)):
        torch.set_num_threads(threads)
        times = compare("GPT-2 small, 124 million parameters", gpt2_layers(), gpt2_config(), rounds)
        kept &= verdict("modelzoo / by hand", ratio(times, OURS, HAND), round(1 / faster, 3))
    return kept


def wide(rounds: int) -> bool:
    layers: Layers = [(nn.Linear, {"in_features": 1024, "out_features": 1024})] * 200
    for threads in (1, 2):
        torch.set_num_threads(threads)
        compare("200 x Linear(1024, 1024)", layers, {"layers": ["Linear(1024, 1024)"] * 200}, rounds)
    return True


def tiny(rounds: int) -> bool:
    torch.set_num_threads(1)
    layers: Layers = [(nn.Linear, {"in_features": 8, "out_features": 8})] * 10_000
    config = {"inputs": {"x": [2, 8]}, "layers": ["Linear(8, 8)"] * 10_000}
    times = compare("10,000 x Linear(8, 8), ours with inputs and dry run", layers, config, rounds)
    return verdict("modelzoo / by hand", ratio(times, OURS, HAND), 1.5)


MEMORY = """
import resource, sys
sys.path[:0] = [{root!r}, {folder!r}]
import torch, modelzoo
from init import RULES, gpt2_config
modelzoo.build(gpt2_config(8, 2, 16, 16), RULES)
now = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
model = modelzoo.build(gpt2_config(), RULES)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print((peak - now) / sum(each.nbytes for each in model.parameters()))
"""


def memory(_: int) -> bool:
    code = MEMORY.format(root=str(ROOT), folder=str(ROOT / "benchmarks"))
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    print("\nGPT-2 small, peak memory of the build")
    return verdict("peak / size of the model", float(made.stdout), 1.1)


PARTS = {"memory": memory, "gpt2": gpt2, "wide": wide, "tiny": tiny}  # a child counts the peak of its parent as its own


def main(rounds: int = 5, *chosen: str) -> int:
    return 0 if min([PARTS[name](rounds) for name in chosen or PARTS]) else 1


if __name__ == "__main__":
    count, *names = sys.argv[1:] or ["5"]
    sys.exit(main(int(count), *names))
