"""What is mutated: the shipped models and inits, every YAML of the documents, the hostile files and their neighbours."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from modelzoo.catalog.fills import FILLS
from modelzoo.catalog.functions import ATTRIBUTES, DTYPES, FUNCTIONS, METHODS
from modelzoo.catalog.layers import LAYERS
from tests.helpers import documents
from tests.helpers.composing import CONF, compose

HERE = pathlib.Path(__file__).parent
LARGEST = 2**16
"""A file of more characters is a bomb of its own, and no start for others."""
MOST = 1_000
"""Nor one of more values."""

SMALL: dict[str, dict[str, Any]] = {
    "alexnet": {"width": 2, "hidden": 4, "classes": 3, "inputs": {"x": [1, 3, 64, 64]}},
    "bert": {"vocab": 11, "context": 8, "dim": 4, "layers": 2, "heads": 2},
    "densenet121": {"growth": 2, "depths": [2, 2, 2, 2], "dim1": 4, "classes": 3, "inputs": {"x": [1, 3, 64, 64]}},
    "gpt2": {"vocab": 11, "context": 8, "dim": 4, "layers": 2, "heads": 2},
    "llama": {"vocab": 11, "dim": 16, "layers": 1, "heads": 4, "kv_heads": 2, "width": 12},
    "lstm_lm": {"vocab": 11, "dim": 4},
    "mixture_of_experts": {"dim": 4, "width": 6, "n": 3, "k": 2},
    "mobilenet_v2": {"dims": [4, 2, 4, 4, 6, 6, 8, 8, 10], "depths": [1, 2, 1, 1, 1, 1, 1], "classes": 3}
    | {"inputs": {"x": [1, 3, 32, 32]}},
    "resnet18": {"stem": 4, "dims": [4, 4, 6, 8], "classes": 3, "inputs": {"x": [1, 3, 32, 32]}},
    "resnet50": {"stem": 4, "dims": [4, 8, 12, 16], "depths": [1, 2, 1, 1], "classes": 3}
    | {"inputs": {"x": [1, 3, 32, 32]}},
    "seq2seq": {"vocab": 11, "context": 16, "dim": 8, "layers": 1, "heads": 2, "width": 8},
    "unet": {"width": 2, "depth": 2, "inputs": {"x": [1, "channels", 16, 16]}},
    "vae": {"dim": 8, "width": 4, "latent": 2},
    "vgg16": {"dims": [3, 2, 2, 4, 4, 4], "depths": [1, 1, 1, 2, 1], "hidden": 4, "classes": 3}
    | {"inputs": {"x": [1, 3, 32, 32]}},
    "vit_b_16": {"image": 8, "patch": 4, "dim": 8, "depth": 2, "num_heads": 2, "classes": 3},
}
"""Args and inputs under which a shipped model takes milliseconds; the others are small as they are."""

MEANT_FOR = {
    "densenet": "densenet121",
    "mobilenet": "mobilenet_v2",
    "resnet": "resnet18",
    "vgg": "vgg16",
    "vit": "vit_b_16",
    "direct": "sequential",
    "per_layer": "sequential",
    "mup": "mlp",
    "threshold": "nested",
    "xavier": "nested",
    "kaiming": "nested",
    "xavier_normal": "nested",
    "orthogonal": "nested",
    "trunc_normal": "nested",
    "lecun": "nested",
    "zeros": "nested",
    "normal": "shared",
    "constant": "fixed_hidden",
    "default": "regression",
}
"""Of an init that is not called as its model is: a model that it applies to."""


@dataclass(frozen=True)
class Seed:
    """A file to be mutated: its text, and its data where YAML gives plain data."""

    name: str
    text: str
    tree: Any = None


@dataclass(frozen=True)
class Corpus:
    """Seeds in groups, how often each group is drawn, and the words to change seeds with."""

    groups: tuple[tuple[Seed, ...], ...]
    weights: tuple[int, ...]
    keys: tuple[str, ...]
    names: tuple[str, ...]
    layers: tuple[str, ...]
    functions: tuple[str, ...]
    methods: tuple[str, ...]
    fills: tuple[str, ...]

    @property
    def seeds(self) -> tuple[Seed, ...]:
        return tuple(seed for group in self.groups for seed in group)


def corpus(also: Sequence[pathlib.Path] = ()) -> Corpus:
    """Everything in the repository, and the YAML files of more folders."""
    folders = [HERE.parent / "benign", HERE.parent / "hostile", *also]
    groups = (tuple(shipped()), tuple(documented()), *(tuple(of_folder(each)) for each in folders))
    trees = [seed.tree for group in groups for seed in group if seed.tree is not None]
    return Corpus(
        groups=groups,
        weights=(4, 4, 3, 1, *(4 for _ in also)),  # most hostile files are refused at once
        keys=tuple(sorted({key for tree in trees for key in keys(tree)})),
        names=tuple(sorted({word for tree in trees for text in texts(tree) for word in re.findall(r"\w+", text)})),
        layers=tuple(LAYERS),
        functions=tuple(FUNCTIONS),
        methods=(*METHODS, *sorted(ATTRIBUTES)),
        fills=(*FILLS, *DTYPES),
    )


def shipped() -> Iterator[Seed]:
    """Every model of `conf`, composed and small; and every init of `conf` with a model that it applies to."""
    for path in sorted((CONF / "model").glob("*.yaml")):
        yield written(f"conf/model/{path.name}", small(path.stem))
    for path in sorted((CONF / "init").glob("*.yaml")):
        model = small(MEANT_FOR.get(path.stem, path.stem))
        yield written(f"conf/init/{path.name}", {"model": model, "init": yaml.safe_load(path.read_text("utf-8"))})


def small(name: str) -> Any:
    """A shipped model that takes milliseconds; composed only where it has parts, which takes Hydra its time."""
    model = yaml.safe_load((CONF / "model" / f"{name}.yaml").read_text("utf-8"))
    if "defaults" in model:
        model, _ = compose(f"model={name}", "init=default")
    changes = dict(SMALL.get(name, {}))
    inputs = changes.pop("inputs", {})
    unknown = changes.keys() - model.get("args", {}).keys()
    assert not unknown, f"{name} has no args {unknown}"
    return model | ({"args": model["args"] | changes} if changes else {}) | ({"inputs": inputs} if inputs else {})


def documented() -> Iterator[Seed]:
    """Every YAML of the documents: rules with the model before them, a config without its `defaults`."""
    for document in documents.documents():
        for part in documents.parts(document):
            if part.language != "yaml" or pathlib.Path(part.name).name.startswith("test_"):
                continue
            if documents.is_rules(part):
                model = [each for each in part.before if each.name.startswith("conf/model/")][-1]
                yield written(part.place, {"model": yaml.safe_load(model.text), "init": yaml.safe_load(part.text)})
            else:
                yield read(part.place, part.text)


def of_folder(folder: pathlib.Path) -> Iterator[Seed]:
    """Every YAML file below a folder that is no test and no bomb by its length."""
    for path in sorted(folder.rglob("*.y*ml")):
        text = path.read_bytes().decode("utf-8", errors="replace")
        if len(text) < LARGEST and not path.name.startswith("test_"):
            yield read(f"{folder.name}/{path.name}", text)


def written(name: str, tree: Any) -> Seed:
    return Seed(name, yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120), tree)


def read(name: str, text: str) -> Seed:
    """A seed, with data where it can be changed as data."""
    tree = plain(text)
    if not isinstance(tree, dict):
        return Seed(name, text)
    return Seed(name, text, {key: value for key, value in tree.items() if key != "defaults"})


def plain(text: str) -> Any:
    """The data of a text; None where its YAML is no plain data, or takes long to say how much it is."""
    if "<<" in text:  # merged mappings multiply while they are read
        return None
    try:
        tree = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return tree if _size(tree) <= MOST else None


def _size(tree: Any) -> int:
    """How many values a tree has, counted no further than needed: aliases multiply."""
    waiting, count = [tree], 0
    while waiting and count <= MOST:
        value = waiting.pop()
        count += 1
        waiting.extend(value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
    return count


def keys(tree: Any) -> Iterator[str]:
    """All keys below, with repetition."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield str(key)
            yield from keys(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from keys(value)


def texts(tree: Any) -> Iterator[str]:
    """All values below that are texts."""
    if isinstance(tree, (dict, list)):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from texts(value)
    elif isinstance(tree, str):
        yield tree
