"""Groups of tensors for an optimiser: what other projects give theirs, and every mistake with its place."""

from __future__ import annotations

import json
import pathlib
import re
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

import modelzoo
from modelzoo import bounds, cli
from modelzoo.config import compose
from modelzoo.config.search_path import conf_directory
from tests.helpers.documents import here

SMALL = {
    "gpt2": ["model.args.dim=24", "model.args.vocab=50", "model.args.context=16"],
    "bert": ["model.args.dim=24", "model.args.vocab=50", "model.args.context=16"],
    "vit_b_16": ["model.args.dim=24", "model.args.image=32", "model.args.classes=5"],
    "resnet50": ["model.args.dims=[16,32,64,128]", "model.args.stem=8", "model.args.classes=5"],
}
"""The shipped models, narrow: they have every tensor that they have at their own size."""

TIED = {
    "layers": {"embed": "Embedding(10, 4)", "norm": "LayerNorm(4)", "head": "Linear(4, 10, bias=False)"},
    "tie": {"head.weight": "embed.weight"},
}
DEEP = {
    "args": {"depth": 3},
    "layers": {"stem": "Linear(4, 4)", "h": {"_repeat_": "depth", "_target_": "Layer"}, "head": "Linear(4, 2)"},
    "blocks": {"Layer": {"layers": ["LayerNorm(4)", "Linear(4, 4)"]}},
}


def built(name: str) -> nn.Module:
    return modelzoo.build(compose.compose([f"model={name}", *SMALL[name]]).model)


@cache
def shipped(groups: str) -> dict[str, Any]:
    return compose.compose([f"groups={groups}"]).options["groups"]


def decaying(model: nn.Module, groups: str) -> set[str]:
    """The tensors that decay where a shipped config gives the groups."""
    names = {tensor: name for name, tensor in model.named_parameters()}
    found = modelzoo.groups(model, shipped(groups), "AdamW")
    every = [tensor for each in found for tensor in each["params"]]
    assert len(every) == len(names) == len({*every})
    torch.optim.AdamW(found, lr=0.1)
    return {names[tensor] for each in found if each.get("weight_decay") != 0 for tensor in each["params"]}


def nanogpt(model: nn.Module) -> set[str]:
    """`configure_optimizers` of nanoGPT's model.py: what has two dimensions or more decays."""
    return {name for name, tensor in model.named_parameters() if tensor.dim() >= 2}


def timm(model: nn.Module, exclude: tuple[str, ...] = ()) -> set[str]:
    """`param_groups_weight_decay` of timm, with what its vision transformers return from `no_weight_decay`."""
    return {
        name
        for name, tensor in model.named_parameters()
        if not (tensor.ndim <= 1 or name.endswith(".bias") or name.rpartition(".")[2] in exclude)
    }


def huggingface(model: nn.Module) -> set[str]:
    """`Trainer.get_decay_parameter_names` of transformers."""
    forbidden = (r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)")
    norms = {
        f"{prefix}.{local}" if prefix else local
        for prefix, module in model.named_modules()
        if isinstance(module, nn.LayerNorm)
        for local, _ in module.named_parameters()
    }
    names = {name for name, _ in model.named_parameters()} - norms
    return {name for name in names if not any(re.search(each, name.lower()) for each in forbidden)}


@pytest.mark.filterwarnings("ignore::modelzoo.ConfigWarning")
@pytest.mark.parametrize("name", SMALL)
def test_what_decays_is_what_decays_elsewhere(name):
    model = built(name)
    assert decaying(model, "nanogpt") == nanogpt(model)
    assert decaying(model, "timm") == timm(model)
    assert decaying(model, "timm_vit") == timm(model, ("pos_embedding", "class_token"))
    assert decaying(model, "huggingface") == huggingface(model)


def test_layers_learn_as_slowly_as_timm_lets_them():
    model = built("vit_b_16")
    values = shipped("vit_layer_decay")["args"]
    found = modelzoo.groups(model, shipped("vit_layer_decay"), "AdamW")
    of = {id(tensor): each for each in found for tensor in each["params"]}
    for name, tensor in model.named_parameters():
        layer = re.search(r"encoder_layer_(\d+)", name)
        deep = 13 if name.startswith("heads") else 12 if "encoder.ln." in name else int(layer[1]) + 1 if layer else 0
        decays = tensor.ndim > 1 and name not in ("class_token", "encoder.pos_embedding")
        assert of[id(tensor)]["lr"] == pytest.approx(values["lr"] * 0.75 ** (13 - deep), rel=1e-12), name
        assert ("weight_decay" not in of[id(tensor)]) == decays, name


def test_the_last_group_that_selects_a_tensor_has_it():
    model = modelzoo.build(DEEP)
    groups = modelzoo.groups(
        model,
        {
            "vectors": {"ndim": 1, "weight_decay": 0},
            "layers": {"block": "Layer", "layer": "Linear", "lr": "=lr / 2", "betas": [0.9, "=beta"]},
            "head": {"name": "head.*", "lr": "=lr * depth"},
        },
        "AdamW",
        lr=0.1,
        beta=0.95,
    )
    names = {tensor: name for name, tensor in model.named_parameters()}
    assert [(each["name"], [names[tensor] for tensor in each["params"]]) for each in groups] == [
        ("rest", ["stem.weight"]),
        ("vectors", ["stem.bias", *(f"h.{i}.0.{local}" for i in range(3) for local in ("weight", "bias"))]),
        ("layers", [f"h.{i}.1.{local}" for i in range(3) for local in ("weight", "bias")]),
        ("head", ["head.weight", "head.bias"]),
    ]
    options = [{name: each[name] for name in each.keys() - {"name", "params"}} for each in groups]
    assert options == [{}, {"weight_decay": 0}, {"lr": 0.05, "betas": (0.9, 0.95)}, {"lr": pytest.approx(0.3)}]


def test_a_sequence_that_is_a_block_is_found_by_its_name_only_where_it_was_built():
    model = modelzoo.build(DEEP)
    assert [len(each["params"]) for each in modelzoo.groups(model, {"a": {"block": "Layer", "lr": 1}})] == [4, 12]


def test_the_index_is_that_of_the_outermost_repeat_of_any_module():
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.experts = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])

    model = nn.ModuleDict({"h": nn.ModuleList([Block(), Block(), Block()])})
    groups = modelzoo.groups(model, {"h": {"name": "h.*", "lr": "=0.1 * (i + 1)"}})
    assert [(each["name"], len(each["params"]), each["lr"]) for each in groups] == [
        ("h.0", 4, 0.1),
        ("h.1", 4, 0.2),
        ("h.2", 4, pytest.approx(0.3)),
    ]


def test_a_shared_tensor_is_in_one_group_once():
    model = modelzoo.build(TIED)
    groups = modelzoo.groups(model, {"tables": {"layer": "Embedding", "lr": 0.1}})
    assert [(each["name"], len(each["params"])) for each in groups] == [("rest", 2), ("tables", 1)]
    groups = modelzoo.groups(
        model, {"tables": {"layer": "Embedding", "lr": 0.1}, "head": {"name": "head.weight", "lr": 0.2}}
    )
    assert [(each["name"], len(each["params"])) for each in groups] == [("rest", 2), ("head", 1)]


def test_what_is_frozen_is_in_no_group_and_may_be_thawed():
    model = modelzoo.build({"layers": {"a": {"_target_": "Linear(2, 2)", "_freeze_": True}, "b": "Linear(2, 2)"}})
    assert [len(each["params"]) for each in modelzoo.groups(model, {"a": {"ndim": [1, 2], "lr": 1}})] == [2]
    rules = {
        "a": {"name": "a.weight", "trainable": True},
        "b": {"name": "b.*", "lr": 1},
        "c": {"name": "b.bias", "trainable": False},
    }
    groups = modelzoo.groups(model, rules)
    assert [(each["name"], len(each["params"])) for each in groups] == [("rest", 1), ("b", 1)]
    trained = [name for name, each in model.named_parameters() if each.requires_grad]
    assert trained == ["a.weight", "b.weight"]


def test_groups_of_a_model_without_parameters_are_none():
    assert modelzoo.groups(nn.ReLU(), {}) == []
    assert modelzoo.groups(nn.Linear(2, 2).requires_grad_(False), None or {}) == []


def test_an_optimiser_steps_with_them_under_fully_shard(tmp_path):
    from torch.distributed import destroy_process_group, init_process_group
    from torch.distributed.fsdp import fully_shard

    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        mesh = torch.distributed.init_device_mesh("cpu", (1,))
        fully_shard(model, mesh=mesh)
        groups = modelzoo.groups(
            model, {"no_decay": {"layer": "LayerNorm", "weight_decay": 0}, "head": {"name": "2.*", "lr": 1.0}}, "AdamW"
        )
        assert [(each["name"], len(each["params"])) for each in groups] == [("rest", 2), ("no_decay", 2), ("head", 2)]
        assert {type(tensor).__name__ for each in groups for tensor in each["params"]} == {"DTensor"}
        torch.optim.AdamW(groups, lr=0.1)
    finally:
        destroy_process_group()


MISTAKES = {
    "a_missing_tensor": (
        {"head": {"name": ["head.*", "embed.wieght"], "lr": 1}},
        "groups.head.name.1\n  the group 'head' (name: embed.wieght) selects no tensor of this model. "
        "Did you mean 'embed.weight'?",
    ),
    "two_groups": (
        {"tables": {"layer": "Embedding", "lr": 1}, "linears": {"layer": "Linear", "lr": 2}},
        "groups.linears\n  embed.weight and head.weight are one tensor, and two groups have it: tables has "
        "embed.weight; linears has head.weight. Write name: embed.weight in a group below.",
    ),
    "an_option": (
        {"a": {"ndim": 1, "weight_deca": 0}},
        "groups.a.weight_deca\n  AdamW has no option 'weight_deca'. Did you mean 'weight_decay'?",
    ),
    "a_value": ({"a": {"ndim": 1, "lr": -1}}, "groups.a.lr\n  AdamW refuses this: Invalid learning rate: -1."),
    "no_number": ({"a": {"ndim": 1, "lr": float("nan")}}, "groups.a.lr\n  lr must be a finite number, not nan."),
    "a_name": (
        {"args": {"lr": 1}, "a": {"ndim": 1, "lr": "=lrr"}},
        "groups.a.lr\n  there is no value 'lrr'. Did you mean 'lr'?",
    ),
    "no_index": (
        {"a": {"name": "norm.*", "lr": "=i"}},
        "groups.a.lr\n  'norm.weight' stands in no repeat, so that there is no 'i'. Select others, or write a number.\n"
        "groups.a.lr\n  'norm.bias' stands in no repeat, so that there is no 'i'. Select others, or write a number.",
    ),
    "nothing_selected": (
        {"a": {"lr": 1}},
        "groups.a\n  this group selects nothing. Write layer: Linear, param: weight or name: '*.weight'.",
    ),
    "no_name": (
        {"param": "bias", "weight_decay": 0},
        "groups\n  a group has a name, and this one has none. Write no_decay: {param: bias, weight_decay: 0}.",
    ),
    "no_mapping": (["a"], "groups\n  groups must be a mapping of groups, not a list. "
                   "Write no_decay: {param: bias, weight_decay: 0}."),
    "the_rest": (
        {"rest": {"ndim": 1, "lr": 1}},
        "groups.rest\n  'rest' is the group of all that no other selects. Take another name.",
    ),
    "a_frozen_option": (
        {"a": {"ndim": 1, "lr": 1, "trainable": False}},
        "groups.a.lr\n  'lr' is of an optimiser, and what is not trained has none. Remove it, or trainable: false.",
    ),
    "trainable": (
        {"a": {"ndim": 1, "trainable": "=2"}},
        "groups.a.trainable\n  trainable must be true or false, not 2. Write trainable: false.",
    ),
    "a_layer": (
        {"a": {"ndim": 1, "lr": "=ReLU"}},
        "groups.a.lr\n  'ReLU' is a layer, not a value. An option of an optimiser is a value.",
    ),
    "a_mapping": (
        {"a": {"ndim": 1, "lr": {"x": 1}}},
        "groups.a.lr\n  an option of an optimiser is a number, a text, true, false or a list of numbers, "
        "not a mapping.",
    ),
    "dimensions": (
        {"a": {"ndim": "1", "lr": 1}},
        "groups.a.ndim\n  ndim is a number of dimensions or a list of numbers, not '1'. "
        "Write 1 for vectors, such as biases.",
    ),
    "overwritten": (
        {"a": {"name": "norm.*", "lr": 1}, "b": {"name": "n*", "lr": 2}},
        "groups.a\n  later groups have everything that 'a' selects. Remove it, or move it down.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_with_its_place(name):
    groups, answer = MISTAKES[name]
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.groups(modelzoo.build(TIED), groups, "AdamW")
    assert str(caught.value) == answer


def test_an_optimiser_and_an_arg_that_do_not_exist_are_told():
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.groups(nn.Linear(2, 2), {"a": {"ndim": 1, "lr": "=lr"}}, "AdmW", lr=1, scale=2)
    assert str(caught.value) == "optimizer\n  there is no optimiser 'AdmW' in torch.optim. Did you mean 'AdamW'?"
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.groups(nn.Linear(2, 2), {"a": {"ndim": 1, "lr": "=lr"}}, lr=1, scale=2)
    assert str(caught.value) == "groups\n  no formula of these groups reads 'scale'. Known: lr."


def test_what_is_no_module_and_what_has_no_size_is_told():
    with pytest.raises(TypeError, match="groups takes a module, not dict"):
        modelzoo.groups({"layers": ["ReLU"]}, {})
    with pytest.raises(ValueError, match="call the model once"):
        modelzoo.groups(nn.Sequential(nn.LazyLinear(2)), {})


def test_too_many_globs_end(monkeypatch):
    monkeypatch.setattr(bounds, "OPERATIONS", 1_000)
    model = nn.Sequential(*(nn.Linear(1, 1) for _ in range(60)))
    rules = {f"a{number}": {"name": f"*{number}*", "lr": 1} for number in range(60)}
    with pytest.raises(modelzoo.ConfigError, match="Write fewer of them"):
        modelzoo.groups(model, rules)


def test_a_group_without_effect_is_a_warning():
    with pytest.warns(modelzoo.ConfigWarning) as told:
        modelzoo.groups(modelzoo.build(TIED), {"a": {"layer": "Conv2d", "lr": 1}, "b": {"block": "Emb", "lr": 1}})
    assert [str(each.message) for each in told] == [
        "groups.a\n  the group 'a' (layer: Conv2d) selects no tensor of this model. Known: Embedding, LayerNorm, Linear.",
        "groups.b\n  the group 'b' (block: Emb) selects no tensor of this model. Known: Embedding, LayerNorm, Linear.",
    ]


def test_a_run_tells_and_records_the_groups(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, output = here(
        cli.main, ["run.py", "model=mlp", "groups=timm", "+groups.out={name: out.*, lr: 0.1}", "hydra.run.dir=o"]
    )
    assert code == 0
    assert (
        "group   tensors  parameters  options\n"
        "rest          1       5,120\n"
        "biases        1         256  weight_decay=0\n"
        "out           2       2,570  lr=0.1\n"
    ) in output
    facts = {each["name"]: each for each in json.loads(pathlib.Path("o/parameters.json").read_text())["tensors"]}
    assert {name: (each["group"], each["options"]) for name, each in facts.items()} == {
        "hidden.weight": ("rest", {}),
        "hidden.bias": ("biases", {"weight_decay": 0}),
        "out.weight": ("out", {"lr": 0.1}),
        "out.bias": ("out", {"lr": 0.1}),
    }
    again = modelzoo.groups(modelzoo.build("o/model.yaml"), "o/model.yaml")
    assert [(each["name"], len(each["params"])) for each in again] == [("rest", 1), ("biases", 1), ("out", 2)]


def test_every_file_of_groups_begins_with_what_it_is():
    for file in (conf_directory() / "groups").glob("*.yaml"):
        assert file.read_text("utf-8").startswith("# "), file
