"""`model.py`: any model as plain PyTorch source, the way out of the config."""

from __future__ import annotations

import argparse
import pathlib
import sys
from typing import Any

from torch import nn

from modelzoo import api, config, files, spec
from modelzoo.classes import Class, Classes
from modelzoo.errors import Problems, located
from modelzoo.initsource import Weights
from modelzoo.methods import safe
from modelzoo.writing import Statement, lines

HEAD = '"""A PyTorch model. Its values: safetensors.torch.load_model(Model(), "parameters.safetensors")."""'


def source(model: config.Source, init: config.Source | None = None, *, seed: int = 0, dtype: str = "float32") -> str:
    """The Python source of a model, which needs torch alone and constructs it with `Model()`.

    Keys, shared and tied tensors, outputs and gradients are those of `modelzoo.build`; values are drawn from the same
    distributions, and loaded from the `parameters.safetensors` of a run.

    Args:
        model: the path of a model file, a mapping, or a DictConfig.
        init: rules: a mapping, a DictConfig or a path; they replace the model file's own.
        seed: of random buffers that no state dict carries.
        dtype: of floating parameters and buffers that name none.

    Raises:
        ConfigError: all problems found.

    >>> print(source({"inputs": {"x": [2, 4]}, "layers": ["Linear(4, 8)", "ReLU"]}), end="")
    \"""A PyTorch model. Its values: safetensors.torch.load_model(Model(), "parameters.safetensors").\"""
    <BLANKLINE>
    import torch
    from torch import nn
    <BLANKLINE>
    <BLANKLINE>
    class Model(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Linear(4, 8), nn.ReLU())
    """
    given = config.from_mapping(model, init)
    with located(given.locate):
        return written(api.draft(given.model, given.init, seed=seed, dtype=dtype), given.model, given.init)


def written(draft: api.Draft, model: Any, init: Any) -> str:
    """The source of a model that was planned already."""
    made = draft.skeleton.instances[id(draft.skeleton.root)]
    node = made.block if made.block is not None else spec.parse(model)
    classes = Classes(node, made)
    root = classes.root(node)
    rules = spec.parse_rules(init, frozenset(draft.values), Problems())
    weights = Weights(classes, root, draft.skeleton, draft.table, rules, draft.seed)
    body = weights.statements()
    head, members = classes.texts[-1]
    dtype = draft.dtype
    ties = _ties_left(draft, classes, root)
    if dtype != "float32" or body or ties:
        first = members[0] if isinstance(members[0], tuple) else None
        if first is None or not first[0].startswith("def __init__"):
            first = ("def __init__(self):", ["super().__init__()"])
            members = [first, *(each for each in members if each != "pass")]
        first[1].extend(ties)
        if dtype != "float32":
            first[1].append(f"self.to(torch.{dtype})")
        if body:
            used = [safe(each.name) for each in root.block.args if each.name in weights.used]
            first[1].append(f"self.init_weights({', '.join(used)})")
            method: list[Statement] = ["@torch.no_grad()", (f"def init_weights({', '.join(['self', *used])}):", body)]
            members = [members[0], *method, *members[1:]]
        classes.texts[-1] = head, members
    return _assembled(classes)


def _ties_left(draft: api.Draft, classes: Classes, root: Class) -> list[Statement]:
    """Ties that another block undoes: Python makes inner blocks first, while a config is tied as a whole."""
    modules = list(draft.skeleton.root.modules())
    held = {(id(each), local): (id(each), local) for each in modules for local in (*each._parameters, *each._buffers)}
    for module in reversed(modules):
        instance = draft.skeleton.instances.get(id(module))
        for pair in instance.block.tie if instance is not None and instance.block is not None else ():
            left, right = (_slot(module, each) for each in pair)
            held[left] = held[right]
    found: list[Statement] = []
    for entry in draft.table:
        first, *others = dict.fromkeys((id(home.owner), home.local) for home in entry.homes)
        names = {(id(home.owner), home.local): home.name for home in reversed(entry.homes)}
        if any(held[each] != held[first] for each in others):
            paths = [classes.path("self", names[each], root.block) for each in (first, *others)]
            found += [f"{each} = {paths[0]}" for each in paths[1:]]
    return found


def _slot(module: nn.Module, dotted: str) -> tuple[int, str]:
    owner, _, local = dotted.rpartition(".")
    return id(module.get_submodule(owner)), local


def _assembled(classes: Classes) -> str:
    texts = []
    for head, members in classes.texts:
        found: list[str] = [head]
        for each in members:
            decorated = found[-1].lstrip().startswith("@")
            decorator = isinstance(each, str) and each.startswith("@")
            separate = (isinstance(each, tuple) or decorator) and len(found) > 1 and not decorated
            found += ["", *_lines(each)] if separate else _lines(each)
        texts.append("\n".join(found))
    functions = ["\n".join(lines([each])) for each in classes.functions]
    return "\n\n\n".join(["\n".join([HEAD, "", *classes.imports.lines()]), *functions, *texts]) + "\n"


def _lines(member: Statement) -> list[str]:
    if isinstance(member, str) and member.startswith("@"):
        return [f"    {member}"]
    return lines([member], 4)


def export(draft: api.Draft, model: nn.Module, given: config.Config, directory: pathlib.Path) -> pathlib.Path:
    """Writes `model.py` of a job; returns its path."""
    path = directory / "model.py"
    text = written(draft, given.model, given.init)
    files.write_text(path, text)
    return path


def command(arguments: list[str]) -> int:
    """Prints the source of a model file, or of what overrides compose.

    Args:
        arguments: the path of a model file, or overrides as `python run.py` takes them.

    Raises:
        ConfigError: all problems found.
    """
    parser = argparse.ArgumentParser(prog="python -m modelzoo source", description=__doc__)
    parser.add_argument("what", nargs="*", help="a model file, or overrides as in model=nested init=xavier")
    what = parser.parse_args(arguments).what
    if len(what) == 1 and "=" not in what[0]:
        text = source(what[0])
    else:
        text = _composed(what)
    sys.stdout.write(text)
    return 0


def _composed(overrides: list[str]) -> str:
    from modelzoo import border
    from modelzoo.cli import composing

    with composing(overrides):
        given = border.compose(overrides)
    options = given.options
    with located(given.locate):
        draft = api.draft(given.model, given.init, seed=options.get("seed", 0), dtype=options.get("dtype", "float32"))
        return written(draft, given.model, given.init)
