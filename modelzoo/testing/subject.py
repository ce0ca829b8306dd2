"""The model of a test, and what a test does to it: runs it, fills a tensor once more, copies weights into another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from modelzoo.catalog.fill import problem_with
from modelzoo.config.config import Config
from modelzoo.errors import Path, Problems, fail, located
from modelzoo.init import computation, ledger
from modelzoo.init.decisions import NamedFill
from modelzoo.modules import gradients
from modelzoo.modules.homes import tensors_of
from modelzoo.plans import draft as drafts
from modelzoo.plans import records
from modelzoo.plans.draft import Draft, example_inputs
from modelzoo.plans.options import Options, device_named
from modelzoo.run import account, groups, load
from modelzoo.run import forward as run_forward
from modelzoo.spec import parser


@dataclass(slots=True, kw_only=True)
class Built:
    """A model with what it was built from.

    Attributes:
        names: every name of every tensor, the same tensor under each of its names.
        facts: what the plan says about a tensor, by each of its names.
    """

    config: Config
    draft: Draft
    model: nn.Module
    inputs: dict[str, Tensor]
    names: dict[str, Tensor]
    facts: dict[str, records.TensorRecord]

    def describe(self, name: str) -> str:
        fact = self.facts[name]
        homes = [each for each in (fact.name, *fact.aliases) if each != name]
        also = f" (also {', '.join(homes)})" if homes else ""
        return f"Tensor {name}{also}: {fact.dtype} {list(fact.shape)}, filled by {fact.rule}: {fact.fill}."


def build(config: Config) -> Built:
    """Builds as the main job does."""
    options = Options.of({**config.options, "device": config.options.get("device") or "cpu"})
    with located(config.locate):
        device = device_named(options.device)
        draft, grouping = groups.grouped(drafts.drafted(config, options, device=device), options)
        model = drafts.fill(draft, device, budget=options.memory)
        grouping.freeze(model)
        found = load.loaded(model, options.load)
        draft = replace(draft, loaded={} if found is None else found.fills)
        model.train(options.training)
        inputs = example_inputs(draft, device)
    facts = {name: each for each in draft.plan.tensors for name in (each.name, *each.aliases)}
    names = tensors_of(model, every=True)
    return Built(config=config, draft=draft, model=model, inputs=inputs, names=names, facts=facts)


def forward(built: Built, model: nn.Module | None = None, gradients: bool = False) -> Any:
    """The output for the example inputs, drawn alike every time."""
    account.check_inputs(built.draft)
    with located(built.config.locate), torch.random.fork_rng(devices=[]):
        torch.manual_seed(built.draft.plan.seed)
        return run_forward.forward(built.draft, built.model if model is None else model, built.inputs, gradients)


def backward(built: Built) -> None:
    """Differentiates the output for the example inputs: tensors have gradients then."""
    output = forward(built, gradients=True)
    with located(built.config.locate):
        gradients.backward(built.draft.skeleton, output, lambda: forward(built, gradients=True))


def drawn(built: Built, name: str, fill: Any) -> Tensor:
    """What a fill gives a tensor of the model, drawn from the same stream."""
    like, fact = built.names[name], built.facts[name]
    problems = Problems()
    rule = {"name": name, "fill": fill}
    values = built.draft.values
    (parsed,) = parser.parse_init({"equals": rule}, frozenset(values), problems).rules or (None,)
    problems.check()
    tensor = torch.empty(like.shape, dtype=like.dtype)
    entry = ledger.Entry(tensor, fact.kind, Path(("equals",)))
    assert parsed is not None
    owner, _, local = name.rpartition(".")
    home = ledger.Home(name, built.model.get_submodule(owner), local)
    fans, padding = ledger.fans_of(tensor, home), ledger.padding_of(home)
    decision = ledger.decision_of(parsed.fill, values, "equals", 1, problems, entry, fans)
    problems.check()
    assert decision is not None
    if isinstance(decision, NamedFill):
        wrong = problem_with(decision.fill, decision.arguments, tuple(tensor.shape), tensor.dtype)
        if wrong is not None:
            fail(Path(("equals",)), f"{decision.fill.name} {wrong}.")
    computation.Computation(tensor, [decision], fact.name, built.draft.plan.seed, built.draft.skeleton.max_steps)()
    if padding is not None:
        tensor[padding] = 0
    return tensor


def copy_weights(source: nn.Module, target: nn.Module) -> str:
    """Copies by name where the names are the same, else in order; says what does not fit."""
    mine, theirs = tensors_of(source), tensors_of(target)
    if mine.keys() != theirs.keys():
        if [each.shape for each in mine.values()] != [each.shape for each in theirs.values()]:
            return f"{_listed(theirs)} instead of {_listed(mine)}"
        theirs = dict(zip(mine, theirs.values(), strict=True))
    for name, tensor in mine.items():
        if tensor.shape != theirs[name].shape:
            return f"{name} {list(theirs[name].shape)} instead of {list(tensor.shape)}"
    with torch.no_grad():
        for name, tensor in mine.items():
            theirs[name].copy_(tensor)
    return ""


def _listed(tensors: dict[str, Tensor]) -> str:
    return ", ".join(f"{name} {list(each.shape)}" for name, each in tensors.items()) or "no tensors"
