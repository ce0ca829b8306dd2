"""The chapter: PyTorch code and the config below it are one model, and the initialisations of both have one law."""

from __future__ import annotations

import pathlib
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import modelzoo
from tests.helpers.distributions import same_law
from tests.helpers.documents import CHAPTER, ROOT, Part, described, executed, folder_of, is_rules, parts

PARTS = [part for page in sorted((CHAPTER / "en").glob("*.md")) for part in parts(page)]
PAIRS = [part for part in PARTS if part.language == "yaml" and part.before and part.before[-1].language == "python"]
MODELS = [part for part in PAIRS if not is_rules(part)]
RULES = [part for part in PAIRS if is_rules(part)]
SHIPPED = [part for part in PARTS if part.language == "yaml" and part.file and (ROOT / part.file).exists()]


def each(found: list[Part]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("part", found, ids=lambda part: f"{part.document.name}:{part.name}")


@pytest.fixture
def folder(part: Part, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_of(part, tmp_path)
    monkeypatch.chdir(tmp_path)


def states(part: Part, seeds: range) -> list[dict[str, Tensor]]:
    """What the network that the PyTorch code above some rules makes holds, made anew from each seed."""
    *before, last = part.before
    names, found = executed(before), []
    for seed in seeds:
        torch.manual_seed(seed)
        found.append(executed([last], names)["net"].state_dict())
    return found


def tensors(net: nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, tuple(tensor.shape)) for name, tensor in net.state_dict().items()]


def differentiated(net: nn.Module, x: Tensor) -> list[Tensor]:
    """What a network returns, and the gradients of the sum of it."""
    net.zero_grad()
    output = net(x)
    output.sum().backward()
    return [output.detach(), *(parameter.grad for parameter in net.parameters())]


def test_the_chapter_has_pairs_of_models_and_of_initialisations():
    assert len(MODELS) >= 10
    assert {part.name for part in RULES} >= {
        f"conf/init/{name}.yaml" for name in ("normal", "constant", "xavier", "per_layer", "threshold", "direct")
    }


@each(MODELS)
def test_the_code_and_the_config_are_one_model(part, folder):
    model, _ = described(part)
    built, net = modelzoo.build(model), executed(part.before)["net"]
    assert tensors(built) == tensors(net)
    assert [name for name, _ in built.named_parameters()] == [name for name, _ in net.named_parameters()]
    built.load_state_dict(net.state_dict(), strict=True)
    (declared,) = modelzoo.plan(model).inputs
    for x in (torch.ones(declared.shape), *torch.randn(3, *declared.shape, generator=torch.Generator().manual_seed(1))):
        for ours, theirs in zip(differentiated(built, x), differentiated(net, x), strict=True):
            assert torch.equal(ours, theirs)


@each(RULES)
def test_the_code_and_the_rules_have_one_law(part, folder):
    model, rules = described(part)
    theirs = states(part, range(20))
    ours = [modelzoo.build(model, rules, seed=seed).state_dict() for seed in range(20)]
    for name in theirs[0]:
        drawn, expected = (torch.stack([state[name] for state in found]) for found in (ours, theirs))
        fixed = (expected == expected[0]).all(0)
        assert torch.equal((drawn == drawn[0]).all(0), fixed), name
        assert torch.equal(drawn[0][fixed], expected[0][fixed]), name
        assert fixed.all() or same_law(drawn[:, ~fixed], expected[:, ~fixed]), name


def test_a_list_of_python_loses_the_layers_of_my_sequential_as_the_exercise_asks():
    listed = "self.steps = list(layers)"
    assert listed in (CHAPTER / "en" / "5.1-layers-and-blocks.md").read_text(encoding="utf-8")
    (code,) = [part for part in PARTS if "class MySequential" in part.text]
    lost = replace(code, text=code.text.replace("self.steps = nn.ModuleList(layers)", listed))
    nets = [executed((*code.before, part))["net"] for part in (code, lost)]
    assert [len(net.state_dict()) for net in nets] == [4, 0]
    assert [tuple(net(torch.ones(2, 20)).shape) for net in nets] == [(2, 10), (2, 10)]


@each(SHIPPED)
def test_a_config_that_ships_is_shown_as_it_is(part):
    shown, shipped = part.text, (ROOT / part.file).read_text(encoding="utf-8")
    assert without_comments(shown) == without_comments(shipped)


def without_comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]
