"""Changes a file as people and enemies do: keys, values, texts, types, sizes; what is deleted, doubled, moved, spliced."""

from __future__ import annotations

import copy
import random
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from modelzoo.catalog.layers import LAYERS
from tests.fuzz.corpus import Corpus, Seed

SIZES = (0, 1, 2, 3, 4, 5, 8, -1, -2, 7, 16, 100, 10**4, 10**6, 2**31 - 1, 2**31, 2**48, 2**63 - 1, 2**63, 10**30)
NUMBERS = (0.0, -0.0, 0.5, 1.0, 1.5, -1.5, 1e-30, 1e300, float("inf"), float("nan"))
TEXTS = ("", " ", "=", "x", "=x", "???", "null", "true", "0", "1e3", "${args}", "${..x}", "{i}", "a.b", "*", "\u00b2")
SPECIAL = (None, True, False, [], {}, [[]], [None], {"layers": []}, {"_ref_": "x"})
OPERATORS = "+ - * / // % ** @ < <= > >= == != and or & | ^ , . = += : ( ) [ ] not if else in is".split()
PIECES = ("*", "&a ", "<<: ", "!", "- ", ": ", "{", "}", "]", "'", '"', "${", "\t", "#", "|", "\n", "\u202e", "\x00")
ALONE = 0.15
"""How often a mutant is a model of one call, made of nothing."""
TAKEN = tuple(
    "self torch nn F math Model partial super x i n _ x1 training shape value fan_in weight bias forward train half type "
    "len str range print open class def none None True e1 l O0 model init Sequential_ Model_ init_weights inputs".split()
)
"""Names that a source or a module has for itself, and some that look like others."""
TOKEN = re.compile(r"[A-Za-z_]\w*|\d+(?:\.\d*)?(?:e-?\d+)?|\*\*|//|[<>=!+]=|\n[ ]*|[ ]+|.", re.S)
SIMPLE = "ReLU GELU Tanh Identity Dropout Sigmoid ReLU(inplace=True) LeakyReLU(0.1) Dropout(0.5) Softmax(-1)".split()
SIMPLE += (
    "LayerNorm(4) Flatten(0) AdaptiveAvgPool1d(2) Softplus Mish ELU RReLU Threshold(0.1,20) PReLU RMSNorm(4)".split()
)
COMMON = ("Linear", "ReLU", "Conv2d", "BatchNorm1d", "BatchNorm2d", "LayerNorm", "Dropout", "Embedding", "Sequential")


@dataclass(frozen=True)
class Mutant:
    """A changed file, and what it was made from."""

    number: int
    seed: str
    text: str


def mutant(corpus: Corpus, seed: int, number: int) -> Mutant:
    """The mutant of a number: the same for the same corpus, on every machine."""
    chance = random.Random(f"{seed} {number}")
    if chance.random() < ALONE:
        return Mutant(number, "one call", dumped(one_call(chance, corpus)))
    base = chance.choice(chance.choices(corpus.groups, corpus.weights)[0])
    if base.tree is None:
        return Mutant(number, base.name, raw(chance, base, corpus))
    tree = copy.deepcopy(base.tree)
    for _ in range(chance.choice((1, 1, 1, 1, 1, 2, 2, 3, 5))):
        tree = Change(chance, corpus, tree).made()
    text = dumped(tree)
    if chance.random() < 0.04:
        text = raw(chance, Seed(base.name, text), corpus)
    return Mutant(number, base.name, text)


def one_call(chance: random.Random, corpus: Corpus) -> Any:
    """A model of one layer or one function of the catalog, on an input of any shape: what each takes, and what not."""
    change = Change(chance, corpus, {"layers": ["x"]})
    shape = [chance.choice((1, 2, 2, 3, 4, 4, 4, 5, 8)) for _ in range(chance.choice((1, 2, 2, 3, 3, 4, 4, 5)))]
    dtype = chance.choice(("float32",) * 6 + ("int64", "bool", "float64", "complex64", "float16"))
    inputs = {"x": {"shape": shape, "dtype": dtype}}
    if chance.random() < 0.5:
        return {"inputs": inputs, "layers": [change.layer(), *([change.layer()] if chance.random() < 0.2 else [])]}
    before = "if training:\n  " if chance.random() < 0.1 else ""
    return {"inputs": inputs, "forward": f"{before}x = {change.wrapped('x')}\nreturn {change.wrapped('x')}"}


def dumped(tree: Any) -> str:
    """YAML of a tree, however deep it is nested."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120)
    finally:
        sys.setrecursionlimit(before)


def raw(chance: random.Random, seed: Seed, corpus: Corpus) -> str:
    """The text of a file with a few characters or lines changed, whatever YAML they are."""
    text = seed.text
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text) + 1)
        end = min(len(text), at + chance.randint(1, 12))
        lines = text.split("\n")
        row = chance.randrange(len(lines))
        match chance.randrange(6):
            case 0:
                text = text[:at] + text[end:]
            case 1:
                text = text[:at] + chance.choice(PIECES) + text[at:]
            case 2:
                text = text[:at] + str(chance.choice((*SIZES, *TEXTS))) + text[end:]
            case 3:
                text = "\n".join((*lines[:row], lines[row], *lines[row:]))
            case 4:
                other = chance.choice(corpus.seeds).text.split("\n")
                text = "\n".join((*lines[:row], chance.choice(other), *lines[row:]))
            case _:
                text = "\n".join((*lines[:row], *lines[row + 1 :]))
    return text


Place = tuple[Any, Any]
"""A container and a key of it."""


def places(tree: Any, found: list[Place] | None = None) -> list[Place]:
    """Everything below a tree, by where it stands."""
    found = [] if found is None else found
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        found.append((tree, key))
        if isinstance(value, (dict, list)):
            places(value, found)
    return found


class Change:
    """One change of a tree."""

    def __init__(self, chance: random.Random, corpus: Corpus, tree: Any) -> None:
        self.chance, self.corpus, self.root = chance, corpus, {"": tree}
        self.places = places(self.root)
        self.words = [word for seed in texts_of(tree) for word in re.findall(r"[A-Za-z_]\w*", seed)] or ["x"]

    def made(self) -> Any:
        """The tree, changed somewhere."""
        container, key = self.chance.choice(self.places)
        value = container[key]
        anywhere: list[Callable[[Any, Any], None]] = [self.retype, self.delete, self.double, self.move, self.splice]
        if isinstance(value, str):
            anywhere += [self.edit] * 12 + [self.call] * 3
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            anywhere += [self.number] * 8
        elif isinstance(value, (dict, list)):
            anywhere += [self.insert] * 3
        if isinstance(container, dict) and container is not self.root:
            anywhere += [self.rename] * 2
        anywhere += [self.everywhere] * (len(anywhere) // 3)
        self.chance.choice(anywhere)(container, key)
        return self.root[""]

    # anything

    def retype(self, container: Any, key: Any) -> None:
        value = container[key]
        container[key] = self.chance.choice(
            (
                lambda: [value],
                lambda: [value, copy.deepcopy(value)],
                lambda: {self.key(): value},
                lambda: str(value)[:500],
                lambda: self.scalar(),
                lambda: copy.deepcopy(self.chance.choice(SPECIAL)),
                lambda: {"_target_": value},
                lambda: {"_target_": value, self.key(): self.scalar()},
                lambda: {"layers": value},
                lambda: {"shape": value, "fill": self.chance.choice(self.corpus.fills)},
                lambda: self.chance.choice([*value.values()]) if isinstance(value, dict) and value else value,
                lambda: self.chance.choice(value) if isinstance(value, list) and value else value,
                lambda: dict(enumerate(value)) if isinstance(value, list) else [value],
                lambda: [*value.values()] if isinstance(value, dict) else value,
                lambda: "=" + value if isinstance(value, str) else value,
            )
        )()

    def delete(self, container: Any, key: Any) -> None:
        if container is self.root:
            container[key] = None
        else:
            del container[key]

    def double(self, container: Any, key: Any) -> None:
        value = copy.deepcopy(container[key])
        if isinstance(container, list):
            container.insert(self.chance.randrange(len(container) + 1), value)
        elif container is not self.root:
            container[self.key()] = value

    def move(self, container: Any, key: Any) -> None:
        """Two places change their values; one inside the other becomes a copy of it."""
        other, name = self.chance.choice(self.places)
        one, two = copy.deepcopy(container[key]), copy.deepcopy(other[name])
        other[name] = one
        if container is not self.root:
            container[key] = two

    def splice(self, container: Any, key: Any) -> None:
        """What another file has here, under the same key if it has that."""
        seeds = [seed for seed in self.corpus.seeds if seed.tree]
        there = places({"": self.chance.choice(seeds).tree})
        fitting = [each for each in there if each[1] == key] or there
        other, name = self.chance.choice(fitting)
        container[key] = copy.deepcopy(other[name])

    def rename(self, container: Any, key: Any) -> None:
        new = self.key()
        items = [(new if name == key else name, value) for name, value in container.items()]
        container.clear()
        container.update(items)

    def everywhere(self, container: Any, key: Any) -> None:
        """A name or a number that stands here becomes another one wherever it stands."""
        here = [token for token in TOKEN.findall(f"{key} {container[key]}"[:500]) if token[:1].isalnum()]
        old = self.chance.choice(here or ["x"])
        new = str(self.chance.choice(SIZES[:12])) if old.isdigit() else self.known()

        def changed(value: Any) -> Any:
            if isinstance(value, dict):
                return {changed(name) if isinstance(name, str) else name: changed(each) for name, each in value.items()}
            if isinstance(value, list):
                return [changed(each) for each in value]
            if isinstance(value, str):
                return "".join(new if token == old else token for token in TOKEN.findall(value))
            return int(new) if type(value) is int and str(value) == old else value

        self.root[""] = changed(self.root[""])

    def insert(self, container: Any, key: Any) -> None:
        inside = container[key]
        value = self.chance.choice(
            (self.scalar, self.layer, self.layer, self.simple, lambda: copy.deepcopy(self.chance.choice(SPECIAL)))
        )()
        if isinstance(inside, list):
            inside.insert(self.chance.randrange(len(inside) + 1), value)
        else:
            named = key in ("layers", "args", "inputs", "blocks", "parameters", "buffers", "tie")
            inside[self.name() if named else self.key()] = value

    # one value

    def number(self, container: Any, key: Any) -> None:
        value = container[key]
        container[key] = self.chance.choice(
            (value + 1, value - 1, value * 2, self.chance.randint(0, 9), -value, value / 2, self.chance.choice(SIZES))
        )

    def scalar(self) -> Any:
        return self.chance.choice(
            (self.chance.choice(SIZES), self.chance.choice(NUMBERS), self.chance.choice(TEXTS), self.name(), self.key())
        )

    def key(self) -> str:
        return self.chance.choice(
            (self.chance.choice(self.corpus.keys), self.chance.choice(self.corpus.keys), self.name())
        )

    def name(self) -> str:
        return self.chance.choice((self.chance.choice(self.words), self.chance.choice(self.corpus.names)))

    def known(self) -> str:
        """A name that means something already, to the catalog, to Python or to this file."""
        kinds = (self.corpus.layers, self.corpus.functions, self.corpus.methods, self.corpus.fills, TAKEN, self.words)
        return self.chance.choice(self.chance.choice(kinds))

    def layer(self) -> str:
        """A call of a layer of the catalog, with what its signature asks for and some of what it allows."""
        if self.chance.random() < 0.3:
            return self.simple()
        name = self.chance.choice(COMMON if self.chance.random() < 0.3 else self.corpus.layers)
        given = []
        for each in LAYERS[name].signature.values():
            if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
                continue
            if each.default is each.empty or self.chance.random() < 0.25:
                given.append(f"{each.name}={self.argument()}")
        return f"{name}({', '.join(given)})"

    def simple(self) -> str:
        """A layer that takes anything, or any call of one."""
        return self.chance.choice(SIMPLE)

    def argument(self) -> str:
        small = "1 2 2 3 4 4 4 5 8 20".split()
        pair = f"({self.chance.choice(small)}, {self.chance.choice(small)})"
        odd = ("0", "-1", "True", "False", "None", "0.5", "1e-5", pair, pair, "'mean'", "'none'", "'zeros'", "'same'")
        odd += ("'reflect'", "'circular'", "'relu'", "'tanh'", "'bilinear'", "'nearest'", "[1, 2]", "-0.0", "1e400")
        odd += (str(self.chance.choice(SIZES)), self.name(), "x")
        return self.chance.choice(small) if self.chance.random() < 0.8 else self.chance.choice(odd)

    # texts

    def call(self, container: Any, key: Any) -> None:
        """Another layer, fill or function is called: alone, or with the text as its argument."""
        value, chance = container[key], self.chance
        if key == "fill":
            container[key] = chance.choice(
                (f"{chance.choice(self.corpus.fills)}({self.argument()})", self.wrapped(value))
            )
        elif key in ("forward", "_if_", "_repeat_", "_name_") or value.startswith("="):
            container[key] = self.wrapped(value)
        else:
            container[key] = chance.choice((self.layer(), self.layer(), self.wrapped(value)))

    def wrapped(self, text: str) -> str:
        """A function of what a text gives."""
        *before, value = text.rstrip().rpartition("return ") if "return " in text else ("", text.rstrip())
        one, two = self.argument(), self.argument()
        rest = self.chance.choice(("", "", f", {one}", f", {one}", f", dim={one}", f", {one}, {two}", f", {value}"))
        method = f"({value}).{self.chance.choice(self.corpus.methods)}({rest[2:]})"
        return "".join(before) + self.chance.choice((f"{self.function()}({value}{rest})", method))

    def function(self) -> str:
        return self.chance.choice(self.corpus.functions)

    def edit(self, container: Any, key: Any) -> None:
        """The tokens of a text change, one or two of them."""
        tokens = TOKEN.findall(container[key]) or ["x"]
        for _ in range(self.chance.choice((1, 1, 2))):
            at = self.chance.randrange(len(tokens))
            if tokens[at].isspace():
                at = min(at + 1, len(tokens) - 1)
            tokens[at : at + 1] = self.edited(tokens, at)
            tokens = tokens or ["x"]
        container[key] = "".join(tokens)

    def edited(self, tokens: list[str], at: int) -> list[str]:
        """What takes the place of a token."""
        token, chance = tokens[at], self.chance
        if token[:1].isalpha() and chance.random() < 0.7:
            called = tokens[at + 1 : at + 2] == ["("]
            if called and chance.random() < 0.7:
                method, layer = tokens[at - 1 : at] == ["."], token[:1].isupper()
                names = self.corpus.methods if method else self.corpus.layers if layer else self.corpus.functions
                return [chance.choice(names)]
            return [chance.choice((chance.choice(self.words), chance.choice(tokens), self.known(), self.name()))]
        if token[:1].isdigit() and chance.random() < 0.7:
            small = str(chance.randint(0, 9))
            return [chance.choice((small, small, f"-{token}", str(chance.choice(SIZES)), f"{token}.0", "1e9"))]
        if token in OPERATORS and chance.random() < 0.5:
            return [chance.choice(OPERATORS)]
        return chance.choice(
            (
                [],
                [token, token],
                [token, " ", chance.choice(OPERATORS), " ", chance.choice(tokens)],
                [self.function(), "(", token, ")"],
                [self.function(), "(", token, ", ", self.argument(), ")"],
                [self.function(), "(", token, ", dim=", self.argument(), ")"],
                [token, ".", chance.choice(self.corpus.methods), "(", chance.choice(("", self.argument())), ")"],
                [token, "[", chance.choice(("0", "-1", ":", "None", "1, 0", ":, 0", "True", "x", "9")), "]"],
                ["(", token, ", ", chance.choice(tokens), ")"],
                [token, " if ", self.name(), " else ", chance.choice(tokens)],
                [self.layer()],
                [chance.choice(tokens)],
                [token, "\n"],
                ["if training:\n  ", token],
                ["for i in range(3):\n  ", token],
                ["while x.sum() > 1:\n  x = x / 2\n", token],
                [f"x = {self.function()}(x)\n", token],
                [self.argument()],
            )
        )


def texts_of(tree: Any) -> list[str]:
    """Keys and texts of a tree."""
    found = []
    for container, key in places({"": tree}):
        value = container[key]
        found += [str(key), value] if isinstance(value, str) else [str(key)]
    return found
