"""Random models built from a config are bit for bit what the same model written by hand is."""

from __future__ import annotations

import ast
import pprint
import random
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import modelzoo
from tests.helpers.twinning import Block, Config, Generator, Source

CHUNKS, SIZE = 14, 25


def pair(seed: int) -> tuple[Block, dict[str, Any], str]:
    """A random model, its config and its source."""
    model = Generator(seed).model()
    return model, Config(seed).block(model), Source().text(model)


def check(seed: int) -> None:
    """Builds both, copies the weights over, and compares everything that can be seen of them."""
    model, config, source = pair(seed)
    try:
        ours = modelzoo.build(config, seed=seed)
        scope: dict[str, Any] = {}
        exec(source, scope)
        twin = scope["Model_0"]()
        compare_modules(ours, twin)
        twin.load_state_dict(ours.state_dict())
        for training in (True, False):
            ours.train(training)
            twin.train(training)
            compare_runs(ours, twin, inputs_of(model, seed))
    except Exception as error:
        shown = pprint.pformat(config, width=120, sort_dicts=False)
        raise AssertionError(f"the twins of seed {seed} differ: {error!r}\n{shown}\n{source}") from error


def compare_modules(ours: nn.Module, twin: nn.Module) -> None:
    assert list(ours.state_dict()) == list(twin.state_dict())
    assert homes(ours.named_modules(remove_duplicate=False)) == homes(twin.named_modules(remove_duplicate=False))
    assert homes(ours.named_parameters(remove_duplicate=False)) == homes(twin.named_parameters(remove_duplicate=False))
    assert homes(ours.named_buffers(remove_duplicate=False)) == homes(twin.named_buffers(remove_duplicate=False))
    assert described(ours) == described(twin)


def homes(named: Iterator[tuple[str, Any]]) -> list[list[str]]:
    """The names of each thing, so that two lists are equal if the same names share."""
    found: dict[int, list[str]] = {}
    for name, each in named:
        found.setdefault(id(each), []).append(name)
    return list(found.values())


def described(model: nn.Module) -> list[Any]:
    """The layers of torch with their arguments, and the tensors with their shapes."""
    kinds = {n: nn.Sequential if isinstance(m, nn.Sequential) else type(m) for n, m in model.named_modules()}
    of_torch = [(n, kind) for n, kind in kinds.items() if kind.__module__.startswith("torch.")]
    layers = [(n, kind, model.get_submodule(n).extra_repr()) for n, kind in of_torch]
    tensors = [(n, p.shape, p.dtype, p.requires_grad) for n, p in (*model.named_parameters(), *model.named_buffers())]
    return [layers, tensors]


def inputs_of(model: Block, seed: int) -> list[Tensor]:
    """Inputs of another batch size than the example's."""
    values: dict[str, Any] = {}
    for name, default in model.args.items():
        values[name] = None if name == "act" else eval(default, values)
    generator = torch.Generator().manual_seed(seed)
    sizes = dict(zip(model.inputs, model.kind.inputs, strict=False))
    return [
        torch.randn(5, values[sizes[name]], generator=generator)
        if name in sizes
        else torch.randint(0, 5, (5,), generator=generator)
        for name in model.inputs
    ]


def compare_runs(ours: nn.Module, twin: nn.Module, inputs: list[Tensor]) -> None:
    """One forward and backward of each."""
    (one, first), (other, second) = run(ours, inputs), run(twin, inputs)
    assert type(one) is type(other)
    assert len(first) == len(second)
    assert all(map(same_bits, first, second))
    assert all(map(same_bits, ours.state_dict().values(), twin.state_dict().values()))


def run(model: nn.Module, inputs: list[Tensor]) -> tuple[Any, list[Tensor | None]]:
    """What a model returns, and all tensors of it: outputs, and gradients of inputs and parameters."""
    inputs = [each.clone().requires_grad_(each.is_floating_point()) for each in inputs]
    model.zero_grad()
    torch.manual_seed(0)
    result = model(*inputs)
    outputs = [result] if isinstance(result, Tensor) else list(result.values() if isinstance(result, dict) else result)
    loss = sum((each * torch.linspace(-1, 2, each.numel()).view_as(each)).sum() for each in outputs)
    loss.backward()
    return result, [*outputs, *(each.grad for each in (*inputs, *model.parameters()))]


def same_bits(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    if one.is_floating_point():
        one, other = one.detach().contiguous().view(torch.int32), other.detach().contiguous().view(torch.int32)
    return torch.equal(one, other)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_built_model_is_its_twin_written_by_hand(chunk: int) -> None:
    for seed in range(chunk * SIZE, (chunk + 1) * SIZE):
        check(seed)


def test_so_are_models_that_no_run_has_seen_before(fresh: random.Random) -> None:
    first = fresh.randrange(10**6, 10**9)
    print(f"fresh seeds from {first}")
    for seed in range(first, first + SIZE):
        check(seed)


# --- what the random models have -------------------------------------------------------------------------------------

FEATURES = (
    """
block in place 3 deep, block without forward, list of layers, text, mapping, text and mapping, left-out size
definition with args, definition used, definition in a block in place, definition that contains itself
reference, reference outwards, dotted reference, reference before its target, repeated reference
tie, tie of an own tensor, tie inside a layer inside, repeat, repeat named, repeat with i, repeat with i in forward
condition, condition on i, condition on a repeat, several inputs, optional input, pair of outputs, named outputs
branch on data, branch on an arg, loop on data, loop over range, loop over layers, indexed layers, layer called twice
parameter, frozen parameter, buffer, buffer left out of the state dict, integer buffer, weight of a layer read
tensor made in forward, presence asked, training asked, recipe, layer as an argument, nested layer call
""".replace("\n", ", ")
    .strip(", ")
    .split(", ")
)


def features(config: dict[str, Any]) -> set[str]:
    """What a config has, read off the config itself."""
    found: set[str] = set()
    block_features(config, (), found)
    return found


def block_features(block: Any, around: tuple[set[str], ...], found: set[str], indexed: bool = False) -> None:
    block = {"layers": block} if isinstance(block, list) else block
    layers = block.get("layers") or {}
    if isinstance(layers, list):
        found.add("list of layers")
        layers = {str(index): each for index, each in enumerate(layers)}
    for index, node in enumerate(layers.values()):
        node_features(node, [*layers][index:], (*around, set(layers)), found, indexed)
    for definition in (block.get("blocks") or {}).items():
        definition_features(*definition, bool(around), found)
    found |= {"tie"} if block.get("tie") else set()
    for left in block.get("tie") or {}:
        found |= {"tie of an own tensor"} if "." not in left else set()
        found |= {"tie inside a layer inside"} if left.count(".") > 1 else set()
    for own in (block.get("parameters") or {}).values():
        found.add("frozen parameter" if own.get("trainable") is False else "parameter")
    for own in (block.get("buffers") or {}).values():
        found.add("buffer")
        found |= {"buffer left out of the state dict"} if own.get("persistent") is False else set()
        found |= {"integer buffer"} if own.get("dtype") == "int64" else set()
    inputs = block.get("inputs") or ["x"]
    found |= {"several inputs"} if len(inputs) > 1 else set()
    found |= (
        {"optional input"} if "y=None" in inputs or (isinstance(inputs, dict) and None in inputs.values()) else set()
    )
    if "forward" in block:
        text_features(block["forward"], set(layers), found, indexed)
    else:
        found.add("block without forward")
    found |= {"block in place 3 deep"} if len(around) >= 3 else set()


def node_features(node: Any, later: list[str], around: tuple[set[str], ...], found: set[str], indexed: bool) -> None:
    if isinstance(node, dict):
        indexed |= "_repeat_" in node
        if "_repeat_" in node:
            found.add("repeat named" if "_name_" in node else "repeat")
            found |= {"condition on a repeat"} if "_if_" in node else set()
        if "_if_" in node:
            found.add("condition on i" if node["_if_"].startswith("i ") else "condition")
        if "_ref_" in node:
            first = node["_ref_"].split(".")[0]
            found |= {"reference", *(["repeated reference"] if "_repeat_" in node else [])}
            found |= {"dotted reference"} if "." in node["_ref_"] else set()
            found |= {"reference outwards"} if first not in around[-1] else set()
            found |= {"reference before its target"} if first in later[1:] else set()
    call = node.get("_target_", "") if isinstance(node, dict) else node if isinstance(node, str) else ""
    texts = [call, *(value for key, value in node.items() if key != "_name_")] if isinstance(node, dict) else [call]
    if any(isinstance(each, str) and re.search(r"\bi\b", each) for each in texts):
        found.add("repeat with i")
    if call:
        found.add("text" if isinstance(node, str) else "text and mapping" if "(" in call else "mapping")
        found |= {"definition used"} if re.match(r"=?(Cell|Stage|Unit|Mixer)\b", call) else set()
        found |= {"recipe"} if re.match(r"=?act\b", call) else set()
        found |= {"nested layer call"} if re.match(r"=?(Sequential|ModuleList)\b", call) else set()
        found |= (
            {"layer as an argument"}
            if re.search(r"\bact=", call) or (isinstance(node, dict) and "act" in node)
            else set()
        )
        if (
            "Linear" in call
            and "in_features" not in str(node)
            and "out_features" in str(node)
            and "Linear()" in f"{call}()"
        ):
            found.add("left-out size")
    elif isinstance(node, list) or {"layers", "forward"} & node.keys():
        block_features(node, around, found, indexed)


def definition_features(name: str, body: dict[str, Any], inside: bool, found: set[str]) -> None:
    found |= {"definition with args"} if body.get("args") else set()
    found |= {"definition in a block in place"} if inside else set()
    found |= {"definition that contains itself"} if f"{name}(" in str(body.get("layers")) else set()
    block_features(body, (), found)


def text_features(text: str, layers: set[str], found: set[str], indexed: bool) -> None:
    tree = ast.parse(text if "return" in text else f"return {text}")
    calls: Counter[str] = Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            calls[ast.unparse(node.func)] += 1
        if isinstance(node, (ast.If, ast.IfExp, ast.While)):
            test, kind = ast.unparse(node.test), "loop" if isinstance(node, ast.While) else "branch"
            found |= {f"{kind} on data"} if re.search(r"[\[.]", test) else {"branch on an arg"}
            found |= {"presence asked"} if {test.removesuffix(" is not None")} & layers else set()
            found |= {"training asked"} if test == "training" else set()
        if isinstance(node, ast.For):
            found.add("loop over range" if "range" in ast.unparse(node.iter) else "loop over layers")
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) in layers:
            found.add("indexed layers")
        if isinstance(node, ast.Attribute) and node.attr == "weight":
            found.add("weight of a layer read")
        if isinstance(node, ast.Return):
            found |= {"pair of outputs"} if isinstance(node.value, ast.Tuple) else set()
            found |= {"named outputs"} if isinstance(node.value, ast.Dict) else set()
        if isinstance(node, ast.Name) and node.id == "i" and indexed:
            found.add("repeat with i in forward")
    found |= {"layer called twice"} if any(calls[name] > 1 for name in layers) else set()
    found |= {"tensor made in forward"} if {"arange", "ones", "zeros"} & calls.keys() else set()


def test_the_models_have_every_feature_many_times() -> None:
    found = Counter(each for seed in range(CHUNKS * SIZE) for each in features(pair(seed)[1]))
    assert {each: found[each] for each in FEATURES if found[each] < 10} == {}
    assert set(found) == set(FEATURES)
