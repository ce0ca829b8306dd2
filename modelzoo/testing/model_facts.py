"""What a test says about a whole model: counts, keys, modules, gradients, and what leaves it as it is."""

from __future__ import annotations

import fnmatch
import pathlib

from torch import Tensor

from modelzoo.errors import ConfigError, render
from modelzoo.run import compare
from modelzoo.testing import round_trips, tensor_facts
from modelzoo.testing.case import Fact, Unchanged
from modelzoo.testing.found import Found
from modelzoo.testing.subject import Built, backward, build


def count(found: Found, built: Built, fact: Fact) -> None:
    """`parameters`, `trainable`, `buffers`, `bytes`: each tensor once."""
    parameters: list[Tensor] = list(built.model.parameters())
    held: list[Tensor] = list(built.model.buffers())
    chosen: list[Tensor] = {
        "parameters": parameters,
        "trainable": [each for each in parameters if each.requires_grad],
        "buffers": held,
        "bytes": [*parameters, *held],
    }[fact.name]
    size = sum(each.numel() * (each.element_size() if fact.name == "bytes" else 1) for each in chosen)
    if size == fact.value:
        return
    unit = {"trainable": "trainable parameters", "buffers": "elements in buffers"}.get(fact.name, fact.name)
    firsts = {each: name for name, each in reversed(built.names.items())}
    about = ", ".join(f"{firsts[each]} {list(each.shape)}" for each in chosen[:8]) + ", ..." * (len(chosen) > 8)
    found.add(fact.key, f"{fact.value:,} {unit}", f"{size:,}", f"They are {about}." if about else "")


def keys(found: Found, built: Built, fact: Fact) -> None:
    """`keys`: those of the state dict, in their order."""
    expected = fact.value
    if isinstance(expected, pathlib.PurePath):
        file = found.configs.folder / expected
        if not file.is_file():
            found.add(fact.key, f"a file '{expected}' beside the test", "none")
            return
        expected = [line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]
    actual = list(built.model.state_dict())
    if list(expected) == actual:
        return
    missing = [each for each in expected if each not in actual]
    extra = [each for each in actual if each not in expected]
    parts = [f"without {', '.join(missing)}"] if missing else []
    parts += [f"with {', '.join(extra)} besides"] if extra else []
    difference = "; ".join(parts) or f"in another order: {', '.join(actual)}"
    found.add(fact.key, f"the {len(expected)} keys that are listed", f"{len(actual)}: {difference}")


def modules(found: Found, built: Built, fact: Fact) -> None:
    """`modules`: by path or glob; "" is the model."""
    named = dict(built.model.named_modules(remove_duplicate=False))
    planned = {name: each for each in built.draft.plan.modules for name in (each.name, *each.aliases)}
    for pattern, facts in fact.value.items():
        said = {each.name: each.value for each in facts}
        if said.get("absent"):
            for name in (name for name in named if fnmatch.fnmatchcase(name, pattern)):
                found.add(fact.key / pattern, f"no module '{pattern}'", f"{name}, {planned[name].type}")
            continue
        for name in found.matching(fact.key / pattern, "module", pattern, named):
            about = f"Module {name or 'of the root'}: {planned[name].call or planned[name].type}."
            for each in facts:
                if each.name == "same_as" and found.matching(each.key, "module", each.value, named):
                    tensor_facts.same(found, each, named[name], named.get(each.value), "module", about)
                if each.name == "type" and each.value not in (planned[name].type, type(named[name]).__name__):
                    found.add(each.key, f"the type {each.value}", planned[name].type, about)
                if each.name == "calls" and each.value != planned[name].calls:
                    found.add(each.key, f"{each.value} calls", str(planned[name].calls), about)


def gradient(found: Found, built: Built, fact: Fact) -> None:
    """`gradient`: which tensors receive one when the sum of the outputs is differentiated."""
    backward(built)
    firsts = {each: name for name, each in reversed(built.names.items())}
    received = {firsts[each] for each in built.names.values() if each.grad is not None}
    built.model.zero_grad(set_to_none=True)
    patterns = fact.value if isinstance(fact.value, dict) else dict.fromkeys(fact.value, True)
    wanted = dict.fromkeys(firsts.values(), False) if isinstance(fact.value, tuple) else {}
    for pattern, receives in patterns.items():
        for name in found.matching(fact.key / pattern, "tensor", pattern, built.names):
            wanted[firsts[built.names[name]]] = receives
    for name, receives in wanted.items():
        if (name in received) is not receives:
            expected, actual = ("a", "none") if receives else ("no", "one")
            found.add(fact.key, f"{expected} gradient for {name}", actual, built.describe(name))


def unchanged(found: Found, built: Built, fact: Fact) -> None:
    """`unchanged_by`: overrides that leave tensors bit-identical."""
    every: tuple[Unchanged, ...] = fact.value
    for each in every:
        other = build(found.configs.changed(each))
        shown = " ".join(each.overrides)
        for pattern in each.tensors:
            for name in found.matching(each.key / "tensors", "tensor", pattern, built.names):
                if name not in other.names:
                    found.add(each.key, f"{name} unchanged by {shown}", "no such tensor", built.describe(name))
                elif not compare.identical(built.names[name], other.names[name]):
                    actual = compare.difference(other.names[name], built.names[name])
                    found.add(each.key, f"{name} unchanged by {shown}", actual, built.describe(name))


def round_trip(found: Found, built: Built, fact: Fact) -> None:
    """`round_trip`: what comes back has the same values, the same shared tensors and gives the same output."""
    for name in fact.value:
        try:
            back = round_trips.ROUND_TRIPS[name](built)
        except ConfigError as error:
            found.add(fact.key, f"that {name} brings the model back", f"{render(error.problems)}")
            continue
        except Exception as error:
            found.add(fact.key, f"that {name} brings the model back", f"{type(error).__name__}: {error}".rstrip("."))
            continue
        difference = round_trips.changed_by_trip(built, back)
        if difference:
            found.add(fact.key, f"that {name} brings the same model back", difference)
