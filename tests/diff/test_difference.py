"""What `diff` says of one edit, and that it says nothing of a model that is only said in another way."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from modelzoo.config import config
from modelzoo.diff import written
from modelzoo.diff.difference import Difference, difference
from modelzoo.diff.snapshots import Snapshot, snapshot
from modelzoo.plans.draft import draft
from tests.helpers.composing import compose

Model = dict[str, Any]

SMALL: dict[str, list[str]] = {
    "resnet18": ["stem=8", "dims=[8,8,16,16]", "classes=10"],
    "gpt2": ["vocab=32", "context=16", "dim=16", "layers=4", "heads=4"],
    "unet": ["width=4", "depth=2"],
    "chimera": [],
    "seq2seq": ["vocab=40", "context=16", "dim=16", "layers=2", "heads=2", "width=32"],
}
INPUTS = {"resnet18": {"x": [1, 3, 32, 32]}, "unet": {"x": [1, 1, 16, 16]}}


def model(name: str) -> Model:
    """A shipped model, small, with its rules."""
    composed, init = compose(f"model={name}", *(f"model.args.{each}" for each in SMALL[name]))
    composed["inputs"] = INPUTS.get(name, composed["inputs"])
    return {"model": composed, "init": init}


def taken(source: Model, **options: Any) -> Snapshot:
    given = config.from_mapping(source)
    return snapshot(draft(given.model, given.init, count=True, **options))


@functools.cache
def unchanged(name: str) -> Snapshot:
    return taken(model(name))


def compared(name: str, edit: Callable[[Model], Any]) -> Difference:
    after = model(name)
    edit(after)
    return difference(unchanged(name), taken(after))


def shown(found: Difference) -> str:
    return "\n".join(line for line, _ in written.text(found))


def put(*path: Any, value: Any) -> Callable[[Model], None]:
    """Sets what stands at a path."""

    def edit(source: Model) -> None:
        *owners, last = path
        here: Any = source["model"]
        for each in owners:
            here = here[each]
        here[last] = value

    return edit


def inserted(*path: Any, at: int, value: Any) -> Callable[[Model], None]:
    def edit(source: Model) -> None:
        here: Any = source["model"]
        for each in path:
            here = here[each]
        here.insert(at, value)

    return edit


def listed_blocks(source: Model) -> list[Any]:
    """The blocks of gpt2 as a list."""
    layers = source["model"]["layers"]["transformer"]["layers"]
    layers["h"] = ["Block(dim, heads, p)"] * 4
    return layers["h"]


def rename(layers: Model, old: str, new: str) -> None:
    """Another name at the same place."""
    items = [(new if name == old else name, value) for name, value in layers.items()]
    layers.clear()
    layers.update(items)


def retext(block: str, old: str, new: str) -> Callable[[Model], None]:
    """Another text in a `forward`."""

    def edit(source: Model) -> None:
        owner = source["model"]["blocks"][block] if block else source["model"]
        assert old in owner["forward"]
        owner["forward"] = owner["forward"].replace(old, new)

    return edit


def renamed(block: str, old: str, new: str) -> Callable[[Model], None]:
    """Another name of a layer, where it stands and where it is called."""

    def edit(source: Model) -> None:
        owner = source["model"]["blocks"][block] if block else source["model"]
        rename(owner["layers"], old, new)
        if "forward" in owner:
            owner["forward"] = owner["forward"].replace(f"{old}(", f"{new}(")

    return edit


def without(*path: Any) -> Callable[[Model], None]:
    def edit(source: Model) -> None:
        *owners, last = path
        here: Any = source["model"]
        for each in owners:
            here = here[each]
        del here[last]

    return edit


def ruled(**rules: Any) -> Callable[[Model], None]:
    return lambda source: source.update(init={**(source["init"] or {}), **rules})


def swapped(source: Model) -> None:
    layers = source["model"]["blocks"]["Twice"]["layers"]
    layers[1], layers[2] = layers[2], layers[1]


def lone(source: Model) -> None:
    """A layer of its own where one was shared."""
    source["model"]["blocks"]["FixedHiddenMLP"]["layers"] = {"linear": "Linear(dim, dim)", "again": "Linear(dim, dim)"}
    text = source["model"]["blocks"]["FixedHiddenMLP"]["forward"]
    source["model"]["blocks"]["FixedHiddenMLP"]["forward"] = "x = again(x)".join(text.rsplit("x = linear(x)", 1))


EDITS: list[tuple[str, str, Callable[[Model], Any], str]] = [
    (
        "resnet18",
        "a layer is added",
        put("layers", "probabilities", value="Softmax(-1)"),
        "+ probabilities  added: Softmax(dim=-1)",
    ),
    (
        "resnet18",
        "a layer is removed",
        without("layers", "maxpool"),
        "- maxpool  removed: MaxPool2d(kernel_size=3, stride=2, padding=1)",
    ),
    (
        "resnet18",
        "a layer is replaced",
        put("layers", "relu", value="GELU"),
        "~ relu  replaced: ReLU(inplace=True) -> GELU()",
    ),
    (
        "resnet18",
        "arguments",
        put("layers", "conv1", value="Conv2d(3, stem, 5, stride=2, padding=2, bias=False)"),
        "~ conv1  Conv2d: kernel_size 7 -> 5, padding 3 -> 2, weight [8, 3, 7, 7] -> [8, 3, 5, 5]",
    ),
    (
        "resnet18",
        "one more block in a stage",
        put("args", "depths", value=[2, 3, 2, 2]),
        "+ layer2.2  added: BasicBlock of 6 layers, 1,184 parameters",
    ),
    (
        "resnet18",
        "a layer of every block is renamed",
        renamed("BasicBlock", "conv1", "first"),
        "~ layer1-4.0-1  renamed: conv1 -> first",
    ),
    (
        "resnet18",
        "a block is put around a layer",
        put("layers", "fc", value={"layers": ["Dropout(0.2)", "Linear(dims[3], classes)"]}),
        "+ fc.0  added: Dropout(p=0.2)\n~ fc.1  moved from fc: there is a block around it now",
    ),
    (
        "resnet18",
        "a text",
        retext("BasicBlock", "return relu(y +", "return gelu(y +"),
        "~ layer1-4.0-1  forward\n"
        "    - return relu(y + (x if downsample is None else downsample(x)))\n"
        "    + return gelu(y + (x if downsample is None else downsample(x)))",
    ),
    (
        "resnet18",
        "a rule",
        ruled(zero={"layer": "BatchNorm2d", "param": "weight", "name": "layer*.bn2.*", "fill": 0}),
        "~ layer1-4.0-1.bn2.weight  fill: ones (torch) -> zeros (init.zero)",
    ),
    (
        "resnet18",
        "a frozen stage",
        put("layers", "layer1", value={"_target_": "Stage(block, stem, dims[0], depths[0])", "_freeze_": True}),
        "~ layer1.*  frozen",
    ),
    (
        "gpt2",
        "one block among others",
        lambda source: listed_blocks(source).insert(1, "Block(dim, 2, p)"),
        "+ transformer.h.1  added: Block of 4 layers, 3,280 parameters",
    ),
    (
        "gpt2",
        "no tie",
        without("tie"),
        "~ lm_head.weight  no longer tied to transformer.wte.weight",
    ),
    (
        "gpt2",
        "a fill beside a shape",
        put("blocks", "Conv1D", "parameters", "bias", "fill", value="normal(std=0.02)"),
        "~ transformer.h.*.attn.c_attn.bias, transformer.h.*.attn.c_proj.bias, transformer.h.*.mlp.c_fc.bias and 1 more"
        "  fill: zeros -> normal(mean=0, std=0.02) (fill)",
    ),
    (
        "gpt2",
        "all sizes",
        put("args", "dim", value=32),
        "~ 44 layers and tensors  sizes 16 -> 32, 48 -> 96, 64 -> 128 (--all tells each)",
    ),
    (
        "gpt2",
        "the example input",
        put("inputs", "input_ids", "shape", value=[2, 8]),
        "~ input_ids  input [1, 8] int64 -> [2, 8] int64",
    ),
    (
        "unet",
        "layers in another order",
        swapped,
        "~ net.down.2, net.inner.down.2, net.inner.inner.2 and 2 more  moved from 1",
    ),
    (
        "unet",
        "a layer inside every block",
        inserted("blocks", "Twice", "layers", at=2, value="Dropout(0.1)"),
        "+ net.down.2, net.inner.down.2, net.inner.inner.2 and 2 more  added: Dropout(p=0.1)",
    ),
    (
        "chimera",
        "a layer that was shared",
        lone,
        "+ 2.again  added: Linear(in_features=20, out_features=20), 420 parameters\n"
        "~ 2        forward\n    - x = linear(x)\n    + x = again(x)",
    ),
    (
        "chimera",
        "a constant",
        put("blocks", "FixedHiddenMLP", "buffers", "rand_weight", "fill", value="normal"),
        "~ 2.rand_weight  fill: uniform(a=0, b=1) -> normal(mean=0, std=1) (fill)",
    ),
    (
        "seq2seq",
        "an arg of many layers",
        put("args", "p", value=0.2),
        "~ drop         Dropout: p 0.1 -> 0.2\n"
        "~ encoder.0-1  TransformerEncoderLayer: dropout 0.1 -> 0.2\n"
        "~ decoder.0-1  TransformerDecoderLayer: dropout 0.1 -> 0.2",
    ),
    (
        "seq2seq",
        "more copies",
        lambda source: source["model"]["layers"]["decoder"].update(_repeat_=4),
        "+ decoder.2-3  added: TransformerDecoderLayer(d_model=16, nhead=2, dim_feedforward=32, dropout=0.1, "
        "batch_first=True), 3,344 parameters",
    ),
    (
        "seq2seq",
        "what is saved",
        put("buffers", "positions", "persistent", value=True),
        "~ positions  in the state dict",
    ),
    (
        "seq2seq",
        "the first name of a tied tensor",
        lambda source: source["model"].update(layers=dict(reversed(source["model"]["layers"].items()))),
        "~ out.weight  drawn as embed.weight -> out.weight",
    ),
]


@pytest.mark.parametrize(("name", "what", "edit", "told"), EDITS, ids=[f"{name}: {what}" for name, what, *_ in EDITS])
def test_an_edit_is_named_and_nothing_else(name, what, edit, told):
    found = compared(name, edit)
    lines = shown(found).splitlines()
    costs = written.costs(found).splitlines()
    assert lines[: len(lines) - len(costs) - 1] == told.splitlines()
    assert len(told.splitlines()) <= 5
    assert not found.equal


def reversed_layers(block: str) -> Callable[[Model], None]:
    def edit(source: Model) -> None:
        owner = source["model"]["blocks"][block]
        owner["layers"] = dict(reversed(owner["layers"].items()))

    return edit


def in_place(source: Model) -> None:
    """A definition where it is used."""
    body = {name: value for name, value in source["model"]["blocks"].pop("Block").items() if name != "args"}
    source["model"]["layers"]["transformer"]["layers"]["h"] = {**body, "_repeat_": "layers"}


def called(source: Model) -> None:
    """Another name of a block."""
    source["model"]["blocks"]["Linears"] = source["model"]["blocks"].pop("MLP")
    source["model"]["blocks"]["Block"]["layers"]["mlp"] = "Linears(dim, p)"


def backwards(source: Model) -> None:
    """Keys in another order."""
    source["model"] = {name: source["model"][name] for name in sorted(source["model"])}


POSITIONS = """\
angles = arange(16)[:, None] / 10000 ** (arange(0, 16, 2) / 16)
return stack((sin(angles), cos(angles)), -1).flatten(1)
"""
ENCODER = "TransformerEncoderLayer(dim, heads, width, p, batch_first=True)"

REWRITES: list[tuple[str, str, Callable[[Model], Any]]] = [
    (
        "resnet18",
        "a mapping for a text",
        put(
            "layers",
            "conv1",
            value={"bias": False, "padding": 3, "stride": 2, "kernel_size": 7, "_target_": "Conv2d"}
            | {"out_channels": "=stem", "in_channels": 3},
        ),
    ),
    (
        "resnet18",
        "pairs for numbers",
        put("layers", "conv1", value="Conv2d(3, stem, [7, 7], stride=(2, 2), padding=3, bias=False)"),
    ),
    (
        "resnet18",
        "torch's name, and a default",
        put("layers", "fc", value="torch.nn.Linear(dims[3], classes, bias=True)"),
    ),
    ("resnet18", "a size that the input decides", put("layers", "fc", value="Linear(out_features=classes)")),
    (
        "resnet18",
        "a list for a repeat",
        put("blocks", "Stage", "layers", value=["block(dim, out, stride)", "block(out, out)"]),
    ),
    ("resnet18", "layers of a forward in another order", reversed_layers("BasicBlock")),
    ("resnet18", "another variable", retext("BasicBlock", "y", "z")),
    ("resnet18", "keys in another order", backwards),
    ("gpt2", "a definition in place", in_place),
    ("gpt2", "a block by another name", called),
    ("gpt2", "a list for a repeat", listed_blocks),
    (
        "gpt2",
        "a return, and a comment",
        put("blocks", "Conv1D", "forward", value="# a product\nreturn linear(x,weight.T,bias)\n"),
    ),
    ("gpt2", "a number for a fill", put("blocks", "Conv1D", "parameters", "bias", "fill", value=0)),
    (
        "gpt2",
        "a mapping for a fill",
        put("blocks", "Conv1D", "parameters", "weight", "fill", value={"_target_": "normal_", "std": 0.02}),
    ),
    ("gpt2", "another name of an input", put("blocks", "MLP", "inputs", value=["h"])),
    ("gpt2", "a number for an arg in a text", retext("Attention", "(3, heads, -1)", "(3, 4, -1)")),
    ("gpt2", "a tie in two steps", put("tie", value={"lm_head": {"weight": "transformer.wte.weight"}})),
    (
        "unet",
        "a condition that holds",
        put("layers", "net", value={"_target_": "Level(channels, width, depth)", "_if_": "depth > 0"}),
    ),
    (
        "chimera",
        "defaults by name",
        put("blocks", "FixedHiddenMLP", "buffers", "rand_weight", "fill", value="uniform(b=1)"),
    ),
    (
        "chimera",
        "an arg for a number",
        lambda source: (put("args", value={"mid": 20})(source), put("layers", 1, value="Linear(16, mid)")(source)),
    ),
    ("seq2seq", "numbers for args in a fill", put("buffers", "positions", "fill", value=POSITIONS)),
    ("seq2seq", "copies for a repeat", put("layers", "encoder", value=[ENCODER] * 2)),
]


@pytest.mark.parametrize(("name", "what", "edit"), REWRITES, ids=[f"{name}: {what}" for name, what, _ in REWRITES])
def test_a_model_that_is_said_in_another_way_is_no_other(name, what, edit):
    found = compared(name, edit)
    assert shown(found).startswith("no difference: ")
    assert found.notes == (ORDER,) * ("another order" in what and "layers" in what)


ORDER = "The tensors come in another order, by which the saved state of an optimizer counts them."
