"""What each rank of a job does: it builds models that torch splits in several ways, and compares them with whole ones.

`python -m tests.sharding.ranks RANK WORLD STORE OUT PART...` is one of them; a part is a function below, and
`sampled:0:50` that of 50 random models.
"""

from __future__ import annotations

import json
import math
import pathlib
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import distributed, nn
from torch.distributed import checkpoint
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.utils._python_dispatch import TorchDispatchMode

import modelzoo
from modelzoo.config.compose import compose as compose_all
from modelzoo.errors import ConfigError
from modelzoo.parts import part_of
from tests.helpers.composing import compose
from tests.helpers.twinning import Config, Generator

SMALL: dict[str, Any] = {
    "args": {"d": 12},
    "inputs": {"x": {"shape": [2, 5], "dtype": "int64"}},
    "blocks": {
        "Block": {
            "args": {"d": 12},
            "layers": {"up": "Linear(d, 7 * d)", "act": "ReLU", "down": "Linear(7 * d, d)", "norm": "LayerNorm(d)"},
            "parameters": {"scale": {"shape": ["d"], "fill": "ones"}},
            "buffers": {"mask": {"shape": ["d", "d"], "fill": "tril(ones(shape))"}},
            "forward": "x + norm(down(act(up(x)))) * scale @ mask",
        }
    },
    "layers": {
        "embed": "Embedding(19, d, padding_idx=3)",
        "blocks": {"_target_": "Block", "_repeat_": 2},
        "shared": "Linear(d, d)",
        "odd": "Linear(d, 13, bias=False)",
        "head": "Linear(d, 19, bias=False)",
    },
    "forward": "h = shared(blocks(shared(embed(x))))\nreturn head(h), odd(h)",
    "tie": {"head.weight": "embed.weight"},
}

INITS: dict[str, Any] = {
    "torch": None,
    "xavier": {"w": {"layer": "Linear", "param": "weight", "fill": "xavier_uniform"}},
    "normal": {"w": {"param": "weight", "fill": "normal(std=0.02)"}, "s": {"name": "*.scale", "fill": 0.5}},
    "whole": {
        "w": {"layer": "Linear", "param": "weight", "fill": "orthogonal"},
        "s": {"name": "shared.weight", "fill": "sparse(sparsity=0.3)"},
        "e": {"name": "embed.weight", "fill": "trunc_normal(std=0.02)"},
    },
    "texts": {
        "w": {"layer": "Linear", "param": "weight", "fill": "w = normal()\nreturn (w - w.mean()) / fan_in"},
        "d": {"name": "*.down.weight", "fill": "value / 2"},
        "u": {"name": "*.up.weight", "fill": "w = normal(std=0.1)\nreturn w * (abs(w) < 0.1) / sqrt(2 * d)"},
    },
}


def fsdp(model: nn.Module, mesh: DeviceMesh) -> None:
    """Each block is a unit, and what is tied is one."""
    for block in model.get_submodule("blocks").children():
        fully_shard(block, mesh=mesh)
    fully_shard([model.get_submodule("embed"), model.get_submodule("head")], mesh=mesh)
    fully_shard(model, mesh=mesh)


def columns_and_rows(model: nn.Module, mesh: DeviceMesh) -> None:
    """Each block's first layer by its outputs, its second by its inputs."""
    for block in model.get_submodule("blocks").children():
        parallelize_module(block, mesh, {"up": ColwiseParallel(), "down": RowwiseParallel()})


def both(model: nn.Module, mesh: DeviceMesh) -> None:
    """Columns and rows within a machine, units across machines."""
    columns_and_rows(model, mesh["tp"])
    fsdp(model, mesh["dp"])


UNITS = {
    "blocks": {"layer": "Block", "wrap": "fully_shard", "reshard_after_forward": True},
    "table": {"name": "embed", "wrap": "fully_shard"},
}
STYLES = {"up": {"name": "*.up", "style": "colwise"}, "down": {"name": "*.down", "style": "rowwise"}}


def ways(world: int) -> Iterator[tuple[str, Any, DeviceMesh]]:
    """How a model is split over so many ranks."""
    line = distributed.init_device_mesh("cpu", (world,))
    yield "fsdp", fsdp, line
    yield "columns and rows", columns_and_rows, line
    yield "rules", (UNITS if world == 2 else STYLES), line
    if world == 4:
        yield "hsdp", fsdp, distributed.init_device_mesh("cpu", (2, 2), mesh_dim_names=("replicate", "shard"))
        square = distributed.init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
        yield "both", both, square
        yield "rules of both", {**UNITS, **STYLES}, square


def full(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def differences(whole: nn.Module, split: nn.Module, gathered: bool = True) -> list[str]:
    """The names of tensors that are not equal, and of ties that are lost; without gathering each rank sees its own."""

    def same(one: torch.Tensor, other: torch.Tensor) -> bool:
        return full(other).equal(one) if gathered else local(other).equal(one[part_of(other)])

    found = []
    for of in ("named_parameters", "named_buffers"):
        pairs = zip(getattr(whole, of)(remove_duplicate=False), getattr(split, of)(remove_duplicate=False), strict=True)
        found += [name for (name, one), (other, two) in pairs if name != other or not same(one, two)]
    if len(list(whole.parameters())) != len(list(split.parameters())):
        found.append("ties")
    return found


def small(world: int) -> Iterator[tuple[str, list[str]]]:
    """The small model, split in every way, with every init."""
    wholes = {name: modelzoo.build(SMALL, init, seed=5) for name, init in INITS.items()}
    for way, parallelize, mesh in ways(world):
        for name in INITS if way in ("fsdp", "columns and rows", "both") else ("whole", "texts"):
            whole = wholes[name]
            split = modelzoo.build(SMALL, INITS[name], seed=5, parallelize=parallelize, device_mesh=mesh)
            yield f"{way}, {name}", differences(whole, split, gathered=name == "torch")
        if isinstance(parallelize, dict):
            names = mesh.mesh_dim_names or ("all",)
            sizes = dict(zip(names, mesh.shape, strict=True))
            told = modelzoo.shares(SMALL, parallelize=parallelize, mesh=sizes, rank=distributed.get_rank())
            tensors = {**dict(split.named_parameters()), **dict(split.named_buffers())}
            wrong = [each.name for each in told.tensors if tuple(local(tensors[each.name]).shape) != each.held]
            yield f"{way}, shares", wrong
        inputs = torch.arange(10).reshape(2, 5)
        outputs = [full(each) for each in split(inputs)]
        near = all(one.allclose(other, atol=1e-5) for one, other in zip(whole(inputs), outputs, strict=True))
        yield f"{way}, forward", [] if near else ["output"]


def shipped(world: int) -> Iterator[tuple[str, list[str]]]:
    """Shipped models, the largest modules of which are units."""
    mesh = distributed.init_device_mesh("cpu", (world,))

    def units(model: nn.Module) -> None:
        shared = [each for each in model.modules() if isinstance(each, nn.Embedding)]
        homes = {id(each.weight): each for each in shared}
        for each in model.modules():
            tied = homes.get(id(getattr(each, "weight", None)))
            if tied is not None and tied is not each:
                fully_shard([tied, each], mesh=mesh)
        fully_shard(model, mesh=mesh)

    for name, init in (
        ("gpt2", "gpt2"),
        ("llama", "llama"),
        ("resnet18", "resnet"),
        ("seq2seq", None),
        ("mixture_of_experts", None),
    ):
        smaller = ["model.args.dim=96", "model.args.layers=2"] if name == "gpt2" else []
        model, rules = compose(f"model={name}", *smaller, *([f"init={init}"] if init else []))
        split = modelzoo.build(model, rules, seed=1, parallelize=units)
        yield name, differences(modelzoo.build(model, rules, seed=1), split)


def rules_of(name: str) -> Any:
    """A file of conf/parallel."""
    return compose_all([f"parallel={name}"]).options["parallel"]


def sampled(world: int, first: str, count: str) -> Iterator[tuple[str, list[str]]]:
    """Random models, split in every way that they allow, with every init of `SAMPLED`."""
    line = distributed.init_device_mesh("cpu", (world,), mesh_dim_names=("dp",))
    square = distributed.init_device_mesh("cpu", (world // 2, 2), mesh_dim_names=("dp", "tp"))
    blocks = {"blocks": {"repeated": True, "wrap": "fully_shard"}}
    for seed in range(int(first), int(first) + int(count)):
        model = Config(seed).block(Generator(seed).model())
        wholes = {name: modelzoo.build(model, init, seed=seed) for name, init in SAMPLED.items()}
        styles = dict(styles_of(wholes["torch"], 2))
        ways: dict[str, tuple[Any, Any]] = {"fsdp": (blocks, line), "styles": (styles, square)}
        if world == 4:
            copies = distributed.init_device_mesh("cpu", (2, 2), mesh_dim_names=("replicate", "shard"))
            ways |= {"hsdp": (blocks, copies), "both": ({**blocks, **styles}, square)}
        for way, (rules, mesh) in ways.items():
            for name, init in SAMPLED.items():
                given = {"init": init, "seed": seed, "parallelize": rules, "device_mesh": mesh}
                yield f"{seed}, {way}, {name}", attempt(wholes[name], model, given)


def attempt(whole: nn.Module, model: Any, given: Mapping[str, Any]) -> list[str]:
    """The differences of a model that is split, or for what it is refused, unless it may be."""
    try:
        split = modelzoo.build(model, **given)
    except ConfigError as error:
        return [each.what for each in error.problems if not any(map(each.what.count, ALLOWED))]
    return differences(whole, split, gathered=False)


SAMPLED: dict[str, Any] = {
    "torch": None,
    "xavier": {"w": {"ndim": 2, "fill": "xavier_uniform"}},
    "normal": {"w": {"ndim": [1, 2, 3, 4], "fill": "normal(std=0.02)"}},
    "whole": {"w": {"ndim": 2, "fill": "orthogonal"}},
    "texts": {"w": {"ndim": [1, 2, 3, 4], "fill": "normal() / 2 + uniform()"}},
}

ALLOWED = ("is a single number", "are one tensor", "selects nothing")
"""What some of them are refused for."""


def styles_of(model: nn.Module, ranks: int) -> Iterator[tuple[str, dict[str, str]]]:
    """A style for each layer that so many ranks divide."""
    for number, (name, each) in enumerate(model.named_modules()):
        if isinstance(each, nn.Linear) and type(each) is nn.Linear:
            if each.out_features % ranks == 0:
                yield f"r{number}", {"name": name, "style": "colwise"}
            elif each.in_features % ranks == 0:
                yield f"r{number}", {"name": name, "style": "rowwise"}


class Counted(TorchDispatchMode):
    """Counts what ranks send each other."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function.namespace in ("c10d", "_c10d_functional"):
            name = str(function).split(".")[1].replace("_", "")
            self.seen += Counter(each for each in NAMES if each.replace("_", "") in name)
        return function(*args, **(kwargs or {}))


NAMES = ("all_gather", "reduce_scatter", "all_reduce")

CALLED_TWICE: dict[str, Any] = {
    "inputs": {"x": [2, 4]},
    "blocks": {"B": {"layers": {"a": "Linear(4, 4)"}, "forward": "relu(a(x))"}},
    "layers": {"b": "B", "c": "B"},
    "forward": "b(b(c(b(x))))",
}

LOOKED_UP: dict[str, Any] = {
    "inputs": {"x": {"shape": [2, 4], "dtype": "int64"}},
    "layers": {"e": "Embedding(10, 8)", "h": "Linear(8, 8)", "o": "Linear(8, 2)"},
}


def counted(world: int) -> Iterator[tuple[str, list[str]]]:
    """What is told of collectives before there is a process, and what they are; and the output of the whole model."""
    looked = {"e": {"name": "e", "style": "rowwise"}, "h": {"name": "h", "style": "colwise"}}
    once = {"u": {"layer": "B", "wrap": "fully_shard"}}
    llama, _ = compose("model=llama")
    of_four = [("llama", llama, rules_of("llama")), ("hsdp", SMALL, rules_of("hsdp"))]
    of_two = [
        ("units", SMALL, UNITS),
        ("fsdp", SMALL, rules_of("fsdp")),
        ("called twice", CALLED_TWICE, once),
        ("kept", CALLED_TWICE, {"u": {**once["u"], "reshard_after_forward": False}}),
        ("looked up", LOOKED_UP, {"mesh": {"dp": -1, "tp": 2}, **looked, "o": {"name": "o", "style": "rowwise"}}),
    ]
    for name, model, rules in of_four if world == 4 else of_two:
        split, inputs = modelzoo.build(model, parallelize=rules), inputs_of(model)
        told = modelzoo.shares(model, parallelize=rules, world=world).collectives
        with Counted() as forward:
            output = outputs_of(split(**inputs))
        with Counted() as backward:
            torch.autograd.backward([each.sum() for each in output])
        seen = (forward.seen, backward.seen)
        wrong = [] if seen == (Counter(told.forward), Counter(told.backward)) else [f"{told}, but {seen}"]
        expected = outputs_of(modelzoo.build(model)(**inputs))
        near = all(one.allclose(other, atol=1e-5) for one, other in zip(expected, output, strict=True))
        yield f"counted, {name}", wrong + ([] if near else ["output"])


def inputs_of(model: Any) -> dict[str, torch.Tensor]:
    """Example inputs: integers or ones."""
    shapes = {name: each if isinstance(each, dict) else {"shape": each} for name, each in model["inputs"].items()}
    made = {}
    for name, each in shapes.items():
        size = tuple(each["shape"])
        count = math.prod(size)
        made[name] = torch.arange(count).reshape(size) if each.get("dtype") == "int64" else torch.ones(size)
    return made


def outputs_of(value: Any) -> list[torch.Tensor]:
    return [value] if isinstance(value, torch.Tensor) else list(value)


def saved(world: int) -> Iterator[tuple[str, list[str]]]:
    """A checkpoint of all ranks, loaded into the same model of other values."""
    line = distributed.init_device_mesh("cpu", (world,))
    split = modelzoo.build(SMALL, INITS["xavier"], seed=5, parallelize=UNITS, device_mesh=line)
    folder = f"{sys.argv[3]}.checkpoint"
    checkpoint.save({"model": split.state_dict()}, checkpoint_id=folder)
    other = modelzoo.build(SMALL, INITS["xavier"], seed=6, parallelize=fsdp, device_mesh=line)
    state = {"model": other.state_dict()}
    checkpoint.load(state, checkpoint_id=folder)
    other.load_state_dict(state["model"])
    yield "checkpoint", differences(modelzoo.build(SMALL, INITS["xavier"], seed=5), other)


def refused(world: int) -> Iterator[tuple[str, list[str]]]:
    """What is told where a tie would be lost."""

    def apart(model: nn.Module) -> None:
        fully_shard(model.get_submodule("embed"))
        fully_shard(model)

    try:
        modelzoo.build(SMALL, parallelize=apart)
    except ConfigError as error:
        yield "apart", [str(error)]
    try:
        rules = {"w": {"layer": "Linear", "param": "weight", "fill": "lsuv"}}
        modelzoo.build(SMALL, rules, parallelize=apart)
    except ConfigError as error:
        yield "measured", [str(error)]


if __name__ == "__main__":
    rank, world, store, out, *parts = sys.argv[1:]
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=int(rank), world_size=int(world))
    asked = [part.split(":") for part in parts]
    results = {name: found for part, *given in asked for name, found in globals()[part](int(world), *given)}
    distributed.destroy_process_group()
    pathlib.Path(out).write_text(json.dumps(results))
