"""Random models, each written twice: as a config, and as the PyTorch source that one would write by hand.

`Generator` makes a tree of nodes, `Config` and `Source` write it down without knowing of each other: names, copies,
references, conditions and formulas mean what modelzoo makes of them in one and what Python makes of them in the other.
In the lines of a forward `@` marks what belongs to the block and `&` a function of torch.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, TypeVar

REQUIRED = "???"
T = TypeVar("T")


# --- what a model is -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """The sizes of the last axis, as texts, of what a layer takes and returns; how outputs are bundled."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    bundle: str = "one"
    optional: bool = False


@dataclass
class Layer:
    """A layer of torch; the argument `left_out` is missing in the config, for modelzoo to find."""

    name: str
    arguments: dict[str, str] = field(default_factory=dict)
    left_out: str | None = None


@dataclass
class Recipe:
    """The layer that an arg describes."""

    arg: str


@dataclass
class Nested:
    """`Sequential(a, b)` or `ModuleList([a, b])`, written as a layer."""

    name: str
    items: list[Layer]


@dataclass
class Ref:
    path: tuple[str, ...]


@dataclass
class Repeat:
    node: Node
    count: str
    pattern: str | None


@dataclass
class If:
    node: Node
    test: str


@dataclass
class Use:
    definition: Block
    arguments: dict[str, str]


@dataclass
class Own:
    """A tensor of a block; `constant` is its value where no state dict carries one over."""

    name: str
    shape: list[str]
    kind: str = "parameter"
    trainable: bool = True
    persistent: bool = True
    constant: float | None = None
    dtype: str | None = None


@dataclass
class Block:
    """A block; `order` has the names of its children as they are written, `children` as they can be made."""

    name: str
    kind: Kind
    closed: bool = False
    values: dict[str, str] = field(default_factory=dict)
    args: dict[str, str] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=lambda: ["x"])
    children: dict[str, Node] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    listed: bool = False
    moving: bool = False
    tensors: list[Own] = field(default_factory=list)
    lines: list[str] | None = None
    definitions: dict[str, Block] = field(default_factory=dict)
    ties: dict[str, str] = field(default_factory=dict)
    outer: list[str] = field(default_factory=list)


Node = Layer | Recipe | Nested | Ref | Repeat | If | Use | Block


def names_in(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w*", text))


def layer(text: str) -> Layer:
    name, _, rest = text.rstrip(")").partition("(")
    return Layer(name, {PARAMETER[name]: rest} if rest else {})


def tensors_of(node: Node, values: dict[str, str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The tensors of a node that are sure to be there and are not tied, with shapes written in known values."""
    if isinstance(node, Layer):
        given = [*node.arguments.values(), ""]
        shapes: dict[str, tuple[str, ...]] = {}
        if node.name == "Linear":
            shapes = {"weight": (given[1], given[0])} | ({"bias": (given[1],)} if "bias" not in node.arguments else {})
        elif node.name in ("LayerNorm", "BatchNorm1d"):
            shapes = {"weight": (given[0],), "bias": (given[0],)}
        elif node.name in ("RMSNorm", "Embedding"):
            shapes = {"weight": tuple(node.arguments.values())}
        elif node.name in ("LSTM", "GRU"):
            gates = f"{node.name} {given[1]}"
            shapes = {"weight_ih_l0": (gates, given[0]), "weight_hh_l0": (gates, given[1])}
            shapes |= {"bias_ih_l0": (gates,), "bias_hh_l0": (gates,)}
        yield from (
            (name, each) for name, each in shapes.items() if names_in(" ".join(each)) - {"LSTM", "GRU"} <= {*values}
        )
    elif isinstance(node, Repeat):
        if isinstance(node.node, Layer):
            first = {None: "0", "block{i}": "block0", "stage{i + 1}": "stage1"}[node.pattern]
            inside = {name: what for name, what in values.items() if name != "i"}
            yield from ((f"{first}.{name}", shape) for name, shape in tensors_of(node.node, inside))
    elif isinstance(node, Block) and not node.moving:
        tied = {*node.ties, *node.ties.values()}
        for name, child in node.children.items():
            for path, shape in tensors_of(child, values):
                if f"{name}.{path}" not in tied:
                    yield f"{name}.{path}", shape


# --- making one ------------------------------------------------------------------------------------------------------

LAYERS = "fc proj gate core head inner left right up down first again stem tail".split()
DEFINITIONS = "Cell Stage Unit Mixer".split()
SAME = ["ReLU", "Tanh", "GELU", "Sigmoid", "SiLU", "PReLU", "Identity", "LeakyReLU(0.2)", "Softplus(2.0)"]
PARAMETER = {"LeakyReLU": "negative_slope", "Softplus": "beta"}
NORMS = {"LayerNorm": "normalized_shape", "BatchNorm1d": "num_features", "RMSNorm": "normalized_shape"}


@dataclass
class Scope:
    """What a node may use where it stands.

    Attributes:
        values: names of args (and `i`), and what they are: a size, count, flag, index or layer.
        definitions: by name.
        around: the blocks around it, the innermost last; `kinds`: of the children of each.
    """

    values: dict[str, str]
    definitions: dict[str, Block] = field(default_factory=dict)
    around: list[Block] = field(default_factory=list)
    kinds: list[dict[str, Kind]] = field(default_factory=list)
    depth: int = 3

    def named(self, what: str) -> list[str]:
        return [name for name, each in self.values.items() if each == what]

    def sizes(self) -> list[str]:
        return [*self.named("size"), "3", "5"]


class Generator:
    """One random model per seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.certain = True  # whether the example reaches what is made now, so that sizes can be left out

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    @contextmanager
    def uncertain(self) -> Iterator[None]:
        before, self.certain = self.certain, False
        yield
        self.certain = before

    def pick(self, items: list[T]) -> T:
        return self.random.choice(items)

    def some(self, makers: list[Callable[..., Node | None]], *given: Any) -> Node:
        """What the first maker that can make something makes, in random order."""
        made = None
        while made is None:
            made = self.pick(makers)(*given)
        return made

    def model(self) -> Block:
        args = {"dim": self.pick(["2", "3", "4"]), "width": self.pick(["2 * dim", "dim + 1", "6"])}
        args["depth"] = self.pick(["1", "2", "3"])
        values = {"dim": "size", "width": "size", "depth": "count"}
        if self.chance(0.6):
            args["wide"], values["wide"] = self.pick(["True", "False", "dim > 3"]), "flag"
        if self.chance(0.6):
            args["act"], values["act"] = self.pick(SAME), "layer"
        scope = Scope(values)
        bundle = self.pick(["one", "one", "pair", "named"])
        outputs = tuple(self.pick(scope.sizes()) for _ in range(1 if bundle == "one" else 2))
        kind = Kind(("dim", "width")[: self.random.randint(1, 2)], outputs, bundle)
        root = Block("Model", kind, closed=True, args=args)
        for _ in range(self.random.randint(0, 3)):
            self.define(scope, root)
        if len(kind.inputs) == len(kind.outputs) == 1 and self.chance(0.3):
            return self.sequence(scope, root)
        return self.flow(scope, root, ids=self.chance(0.3))

    # -- nodes

    def node(self, scope: Scope, a: str, b: str) -> Node:
        """Whatever maps size `a` to size `b`."""
        makers: list[Callable[..., Node | None]] = [self.leaf, self.leaf, self.reference]
        if scope.depth > 0:
            makers += [self.use, self.use, self.inplace, self.inplace, self.repeat, self.repeat, self.nested]
        return self.some(makers, scope, a, b)

    def leaf(self, scope: Scope, a: str, b: str) -> Node:
        if a == b and self.chance(0.7):
            return self.keeper(scope, a)
        bias = {"bias": "False"} if self.chance(0.3) else {}
        left_out = "in_features" if self.certain and self.chance(0.25) else None
        return Layer("Linear", {"in_features": a, "out_features": b, **bias}, left_out)

    def keeper(self, scope: Scope, a: str) -> Node:
        """A layer that keeps the size."""
        recipes = scope.named("layer")
        if recipes and self.chance(0.5):
            return Recipe(self.pick(recipes))
        if self.chance(0.4):
            norm = self.pick([*NORMS])
            left_out = NORMS[norm] if norm == "BatchNorm1d" and self.certain and self.chance(0.5) else None
            return Layer(norm, {NORMS[norm]: a}, left_out)
        return Layer("Dropout", {"p": "0.25"}) if self.chance(0.2) else layer(self.pick(SAME))

    def nested(self, scope: Scope, a: str, b: str) -> Node:
        middle = self.pick(scope.sizes())
        first = Layer("Linear", {"in_features": a, "out_features": middle})
        last = Layer("Linear", {"in_features": middle, "out_features": b})
        return Nested("Sequential", [first, layer(self.pick(SAME)), last])

    def reference(self, scope: Scope, a: str, b: str) -> Node | None:
        """A layer of this block, or of one around it."""
        hidden: set[str] = set()
        found: list[tuple[Block, str]] = []
        for block, kinds in zip(reversed(scope.around), reversed(scope.kinds), strict=True):
            paths = [path for path, kind in kinds.items() if kind == Kind((a,), (b,)) and not block.moving]
            found += [(block, path) for path in paths if path.split(".")[0] not in hidden]
            hidden |= {*block.order}
        if not found:
            return None
        dotted = [each for each in found if "." in each[1]]
        owner, path = self.pick(dotted or found)
        first, *rest = path.split(".")
        for block in reversed(scope.around):
            if block is owner:
                break
            if first not in block.outer:
                block.outer.append(first)
        return Ref((first, *rest))

    def repeat(self, scope: Scope, a: str, b: str) -> Node | None:
        """Copies; `i` of a repetition around it would mean another inside, so it must not come along."""
        count = self.pick([*scope.named("count"), "2", "3"])
        if a != b and not b.startswith(f"{a} + "):
            return None
        if "i" in names_in(a + b):
            return None
        if a != b:
            count = b.removeprefix(f"{a} + ")
            if count not in scope.named("count"):
                return None
            a, b = f"{a} + i", f"{a} + i + 1"
        kinds = [{name: k for name, k in each.items() if "i" not in names_in(str(k))} for each in scope.kinds]
        inside = replace(scope, values={**scope.values, "i": "index"}, kinds=kinds, depth=scope.depth - 1)
        node = self.some([self.leaf, self.use, self.inplace, self.inplace, self.reference], inside, a, b)
        return Repeat(node, count, self.pick([None, "block{i}", "stage{i + 1}"]))

    def use(self, scope: Scope, a: str, b: str) -> Node | None:
        fitting = [
            each
            for each in scope.definitions.values()
            if len(each.kind.inputs) == len(each.kind.outputs) == 1 and (a == b or each.kind.outputs == ("out",))
        ]
        if not fitting:
            return None
        return self.used(scope, self.pick(fitting), a, b)

    def used(self, scope: Scope, definition: Block, a: str, b: str) -> Use:
        given = {"dim": a}
        for name in definition.args:
            if name == "out":
                given[name] = b
            elif name != "dim" and self.chance(0.5):
                given[name] = self.argument(scope, definition.values[name])
        return Use(definition, given)

    def argument(self, scope: Scope, what: str) -> str:
        if what == "size":
            return self.pick([*scope.sizes(), f"{self.pick(scope.sizes())} + 1"])
        if what == "count":
            return self.pick([*scope.named("count"), "1", "2"])
        if what == "flag":
            return self.pick([*scope.named("flag"), *(["i > 0"] if "i" in scope.values else []), "True", "False"])
        return self.pick([*scope.named("layer"), *SAME])

    def define(self, scope: Scope, owner: Block) -> None:
        """A definition in `owner`; it sees its args and those defined beside it, before it."""
        name = self.pick(DEFINITIONS)
        if name in owner.definitions or scope.depth < 1:
            return
        keeps = self.chance(0.4)
        args = {"dim": REQUIRED} | ({} if keeps else {"out": REQUIRED})
        values = dict.fromkeys(args, "size")
        for each, what, defaults in (
            ("mid", "size", ["dim + 1", "4"]),
            ("count", "count", ["1", "2"]),
            ("wide", "flag", ["True", "False"]),
            ("act", "layer", SAME),
        ):
            if self.chance(0.5):
                args[each], values[each] = self.pick(defaults), what
        block = Block(name, Kind(("dim",), ("dim" if keeps else "out",)), closed=True, args=args)
        inside = Scope(values, dict(owner.definitions), depth=scope.depth - 1)
        with self.uncertain():
            self.fill_in(inside, block)
        owner.definitions[name] = block
        scope.definitions = {**scope.definitions, name: block}

    def fill_in(self, inside: Scope, block: Block) -> None:
        """The body of a definition."""
        keeps = block.kind.outputs == ("dim",)
        if keeps and "count" in block.args and self.chance(0.6):
            self.sequence(inside, block, recursive=True)
        elif self.chance(0.3):
            self.sequence(inside, block)
        else:
            which = self.random.random()
            if which < 0.35:
                block.kind = replace(block.kind, inputs=("dim", "dim"), optional=self.chance(0.5))
            elif which < 0.7:
                block.kind = replace(block.kind, outputs=block.kind.outputs * 2, bundle=self.pick(["pair", "named"]))
            self.flow(inside, block)

    # -- blocks

    def inplace(self, scope: Scope, a: str, b: str) -> Block:
        block = Block("", Kind((a,), (b,)))
        inside = replace(scope, values=dict(scope.values), depth=scope.depth - 1)
        if self.chance(0.3) and "extra" not in inside.values:
            block.args["extra"] = f"{self.pick(scope.sizes())} + 1"
            inside.values["extra"] = "size"
        if self.chance(0.15):
            self.define(inside, block)
        return self.sequence(inside, block) if self.chance(0.4) else self.flow(inside, block)

    def opened(self, scope: Scope, block: Block) -> Scope:
        block.values = dict(scope.values)
        return replace(scope, around=[*scope.around, block], kinds=[*scope.kinds, {}])

    def sequence(self, scope: Scope, block: Block, recursive: bool = False) -> Block:
        """A block without a forward."""
        scope = self.opened(scope, block)
        steps = self.random.randint(1, 3)
        block.listed = self.chance(0.5)
        conditional = recursive or self.chance(0.5)
        block.moving = block.listed and conditional
        block.order = [str(each) for each in range(7)] if block.listed else self.random.sample(LAYERS, 7)
        free = iter(block.order)
        at = block.kind.inputs[0]
        for step in range(steps):
            size = block.kind.outputs[0] if step == steps - 1 else self.pick(scope.sizes())
            self.add(scope, next(free), self.node(scope, at, size), Kind((at,), (size,)))
            at = size
            tests = self.tests(scope)
            if conditional and tests and self.chance(0.7):
                node = self.some([self.leaf, self.leaf, self.repeat, self.reference], scope, at, at)
                block.children[next(free)] = If(node, self.pick(tests))
        if recursive:
            given = {name: name for name in block.args if name != "count"} | {"count": "count - 1"}
            block.children[next(free)] = If(Use(block, given), "count > 1")
        block.order = [*block.children]
        self.tie(block)
        return block

    def tests(self, scope: Scope) -> list[str]:
        flags = scope.named("flag")
        found = [*flags, *(f"not {each}" for each in flags), *(f"{each} > 1" for each in scope.named("count"))]
        return [*found, *(["i > 0", "i == 0"] if "i" in scope.values else []), f"{self.pick(scope.sizes())} % 2 == 0"]

    def add(self, scope: Scope, name: str, node: Node, kind: Kind) -> None:
        """A child, with what can be referred to through it."""
        scope.around[-1].children[name] = node
        kinds = scope.kinds[-1]
        kinds[name] = kind
        if isinstance(node, Block) and not node.moving:
            for inner, each in node.children.items():
                if isinstance(each, Layer) and each.name == "Linear":
                    a, b = each.arguments["in_features"], each.arguments["out_features"]
                    if names_in(a + " " + b) <= {*scope.values}:
                        kinds[f"{name}.{inner}"] = Kind((a,), (b,))

    def flow(self, scope: Scope, block: Block, ids: bool = False) -> Block:
        """A block with a forward."""
        scope = self.opened(scope, block)
        block.order = self.random.sample(LAYERS, 10)
        block.inputs = ["x", "y"][: len(block.kind.inputs)] + (["ids"] if ids else [])
        block.lines = Flow(self, scope).text()
        block.order = [each for each in block.order if each in block.children]
        if self.chance(0.5):
            self.random.shuffle(block.order)
        self.tie(block)
        return block

    def tie(self, block: Block) -> None:
        """Ties tensors of equal shapes; none is replaced twice, and none that another becomes is replaced."""
        shapes = {
            f"{name}.{each}": shape
            for name, node in block.children.items()
            for each, shape in tensors_of(node, block.values)
        }
        shapes |= {
            each.name: tuple(each.shape) for each in block.tensors if each.kind == "parameter" and each.trainable
        }
        if block.moving or not self.chance(0.5):
            return
        for _ in range(self.random.randint(1, 2)):
            pairs = [
                (left, right)
                for left, shape in shapes.items()
                for right, other in shapes.items()
                if left != right and shape == other and left not in (*block.ties, *block.ties.values())
                if right not in block.ties
            ]
            own = [each for each in pairs if any("." not in name for name in each)]
            if pairs:
                left, right = self.pick(own or pairs)
                block.ties[left] = right


class Flow:
    """The lines of one forward, and the children that they call."""

    def __init__(self, maker: Generator, scope: Scope) -> None:
        self.maker, self.scope, self.block, self.kinds = maker, scope, scope.around[-1], scope.kinds[-1]
        self.free = list(self.block.order)
        self.sizes: dict[str, str] = {}  # of the variables that are set
        self.lines: list[str] = []
        self.count = 0

    def text(self) -> list[str]:
        kind, pick = self.block.kind, self.maker.pick
        self.sizes = dict(zip(self.block.inputs, kind.inputs, strict=False))
        if kind.optional:
            del self.sizes["y"]
            self.lines += [pick(["if y is not None:", "if not y is None:"]), f"    x = x {pick(['+', '-', '*'])} y"]
        if "ids" in self.block.inputs:
            size = pick(self.scope.sizes())
            name = self.child(Layer("Embedding", {"num_embeddings": "5", "embedding_dim": size}))
            self.set(f"@{name}(ids)", size, self.fresh())
        steps = [
            *(self.call, self.function, self.arithmetic, self.own, self.own, self.cat, self.weight, self.branch),
            *(self.branch, self.switch, self.present, self.halve, self.bounded, self.counted, self.walk, self.walk),
            *(self.recurrent, self.attention, self.unpack, self.merge, self.slice, self.create, self.mode, self.twice),
        ]
        for _ in range(self.maker.random.randint(1, 4)):
            pick([*steps, self.refer, self.refer, self.bind])()
        return self.ending()

    def ending(self) -> list[str]:
        kind = self.block.kind
        results = [self.value(each) for each in kind.outputs]
        lines, self.lines = self.lines, []
        if kind.bundle == "pair":
            return [*lines, f"return {', '.join(results)}"]
        if kind.bundle == "named":
            return [*lines, f"return {{'left': {results[0]}, 'right': {results[1]}}}"]
        if self.maker.chance(0.15):
            with self.maker.uncertain():
                other = self.mapped(self.variable(), kind.outputs[0])
            early = [f"if {self.question(results[0])}:", f"    return {results[0]}"]
            return [*lines, *early, *self.lines, f"return {other}"]
        if lines and lines[-1].startswith(f"{results[0]} = "):
            return [*lines[:-1], "return " + lines[-1].partition(" = ")[2]]
        return [*lines, f"return {results[0]}"]

    # -- parts

    def variable(self, size: str | None = None) -> str:
        return self.maker.pick([name for name, each in self.sizes.items() if size in (None, each)])

    def fresh(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def set(self, value: str, size: str, name: str | None = None) -> str:
        """Assigns to a name: a new one, or one that is there."""
        target = name or (self.fresh() if self.maker.chance(0.5) else self.variable())
        self.lines.append(f"{target} = {value}")
        self.sizes[target] = size
        return target

    def child(self, node: Node) -> str:
        """A child whose calls have more than one input or output."""
        if not self.free:
            self.free = ["more" + str(len(self.block.children))]
            self.block.order += self.free
        name = self.free.pop(0)
        self.block.children[name] = node
        return name

    def tensor(self, own: Own) -> str:
        own.name = f"{own.name}{len(self.block.tensors)}"
        self.block.tensors.append(own)
        return f"@{own.name}"

    def applied(self, name: str, size: str) -> str:
        """`name` mapped to `size`: by a layer that is there (which is then called again), a new one, or a product."""
        kind = Kind((self.sizes[name],), (size,))
        known = [each for each, other in self.kinds.items() if kind == other and "." not in each]
        if known and (self.maker.chance(0.4) or not self.free):
            return f"@{self.maker.pick(known)}({name})"
        if not self.free:
            return f"{name} @ {self.tensor(Own('matrix', [self.sizes[name], size]))}"
        layer = self.free.pop(0)
        self.maker.add(self.scope, layer, self.maker.node(self.scope, self.sizes[name], size), kind)
        return f"@{layer}({name})"

    def perhaps(self, name: str) -> str:
        """The same size again, by a layer that the example may not reach."""
        with self.maker.uncertain():
            return self.applied(name, self.sizes[name])

    def mapped(self, name: str, size: str) -> str:
        return self.set(self.applied(name, size), size)

    def value(self, size: str) -> str:
        if size in self.sizes.values() and self.maker.chance(0.6):
            return self.variable(size)
        return self.mapped(self.variable(), size)

    def question(self, name: str) -> str:
        asked = ["{}.sum() > 0", "({} > 0).any()", "{}[0, 0] < 0.1", "not {}.mean() > 0", "0 < {0}.max() < 1"]
        asked += ["{0}.sum() > 0 and {0}.abs().max() < 1", "{0}.sum() > 1 or {0}.sum() < -1"]
        return self.maker.pick(asked).format(name)

    # -- steps

    def call(self) -> None:
        self.mapped(self.variable(), self.maker.pick(self.scope.sizes()))

    def twice(self) -> None:
        name = self.variable()
        layer = self.maker.node(self.scope, self.sizes[name], self.sizes[name])
        called = self.child(layer)
        self.set(f"@{called}(@{called}({name}))", self.sizes[name])

    def refer(self) -> None:
        """A layer again, by another name; one inside another layer, if there is such a one."""
        dotted = [path for path in self.kinds if "." in path]
        paths = dotted or [*self.kinds]
        if paths:
            path = self.maker.pick(paths)
            kind = self.kinds[path]
            name = self.value(kind.inputs[0])
            self.set(f"@{self.child(Ref(tuple(path.split('.'))))}({name})", kind.outputs[0])

    def bind(self) -> None:
        """An own tensor that is the bias of a layer."""
        name = self.variable()
        size = self.maker.pick(self.scope.sizes())
        layer = self.child(Layer("Linear", {"in_features": self.sizes[name], "out_features": size}))
        own = self.tensor(Own("scale", [size]))
        left, right = self.maker.pick([(own[1:], f"{layer}.bias"), (f"{layer}.bias", own[1:])])
        self.block.ties[left] = right
        self.set(f"@{layer}({name}) * {own}", size)

    def function(self) -> None:
        name = self.variable()
        texts = ["&relu({})", "&tanh({})", "&gelu({})", "&softmax({}, dim=-1)", "&sigmoid({}) * 2", "{}.abs()"]
        texts = ["{} * (@i + 1)", "{} - @i"] if "i" in self.scope.values and self.maker.chance(0.5) else texts
        texts += ["{0} - {0}.mean(dim=-1, keepdim=True)", "&silu({}).flip(0)", "{}.clamp(-1, 1) ** 2", "abs({})"]
        self.set(self.maker.pick(texts).format(name), self.sizes[name])

    def arithmetic(self) -> None:
        name = self.variable()
        other = self.variable(self.sizes[name])
        sign = self.maker.pick(["+", "-", "*"])
        if self.maker.chance(0.4):
            self.lines.append(f"{name} {sign}= {other}")
        else:
            self.set(f"({name} {sign} {other}) / 2", self.sizes[name])

    def own(self) -> None:
        name = self.variable()
        size = self.sizes[name]
        made = self.maker.pick(
            [
                Own("scale", [size]),
                Own("level", []),
                Own("fixed", ["1", size], trainable=False),
                Own("shift", [size], "buffer"),
                Own("mask", [size], "buffer", persistent=False, constant=0.5),
                Own("times", [size], "buffer", constant=2, dtype="int64"),
            ]
        )
        self.set(f"{name} {self.maker.pick(['*', '+'])} {self.tensor(made)}", size)
        if self.maker.chance(0.3):
            target = self.maker.pick(self.scope.sizes())
            self.set(f"{name} @ {self.tensor(Own('matrix', [self.sizes[name], target]))}", target)

    def cat(self) -> None:
        one, other = self.variable(), self.variable()
        sizes = self.sizes[one], self.sizes[other]
        if all(re.fullmatch(r"\w+", each) for each in sizes):
            self.set(f"&cat([{one}, {other}], dim=-1)", " + ".join(sizes))

    def weight(self) -> None:
        """Reads the weight of a layer."""
        name = self.variable()
        size = self.maker.pick(self.scope.sizes())
        layer = self.child(Layer("Linear", {"in_features": self.sizes[name], "out_features": size}))
        self.set(
            self.maker.pick(["{0} @ @{1}.weight.T", "&linear({0}, @{1}.weight, @{1}.bias)"]).format(name, layer), size
        )

    def branch(self) -> None:
        """On data."""
        name = self.variable()
        size = self.sizes[name]
        self.lines += [f"if {self.question(name)}:", f"    {name} = {self.applied(name, size)}"]
        if self.maker.chance(0.4):
            self.lines += [f"elif {self.question(name)}:", f"    {name} = {name} / 2"]
        if self.maker.chance(0.6):
            self.lines += ["else:", f"    {name} = {self.perhaps(name)} - 1"]

    def switch(self) -> None:
        """On an arg."""
        name = self.variable()
        test = self.maker.pick([re.sub(r"\b(?=[a-z])(?!not\b)", "@", each) for each in self.maker.tests(self.scope)])
        if self.maker.chance(0.5):
            self.set(f"{name} * 2 if {test} else {name}", self.sizes[name])
        else:
            self.lines += [f"if {test}:", f"    {name} = {self.perhaps(name)}"]

    def present(self) -> None:
        """A layer that may be absent."""
        name = self.variable()
        size = self.sizes[name]
        node = self.maker.some([self.maker.leaf, self.maker.leaf, self.maker.repeat], self.scope, size, size)
        layer = self.child(If(node, self.maker.pick(self.maker.tests(self.scope))))
        if self.maker.chance(0.5):
            self.set(f"@{layer}({name}) if @?{layer} else {name}", size)
        else:
            self.lines += [f"if @?{layer}:", f"    {name} = @{layer}({name})"]

    def halve(self) -> None:
        """A loop on data; what it starts from is bounded, so it ends."""
        name = self.variable()
        self.lines += [f"{name} = &tanh({name})", f"while {name}.abs().sum() > 1:", f"    {name} = {name} / 2"]

    def bounded(self) -> None:
        name, steps = self.variable(), self.fresh()
        layer = self.applied(name, self.sizes[name])
        self.lines += [f"{steps} = 0", f"while {steps} < 3 and ({self.question(name)}):"]
        self.lines += [f"    {name} = &tanh({layer})", f"    {steps} += 1"]

    def counted(self) -> None:
        name = self.variable()
        layer = self.applied(name, self.sizes[name])
        stop = self.maker.pick(["2", *("@" + each for each in self.scope.named("count"))])
        self.lines += [f"for j in range({stop}):", f"    {name} = &tanh({layer}) + {self.maker.pick(['j', name])}"]

    def walk(self) -> None:
        """Over layers."""
        name = self.variable()
        size = self.sizes[name]
        with self.maker.uncertain():
            node = self.maker.repeat(self.scope, size, size) if self.scope.depth > 0 else None
        if node is None:
            linear = Layer("Linear", {"in_features": size, "out_features": size})
            node = Nested(self.maker.pick(["ModuleList", "Sequential"]), [linear, layer(self.maker.pick(SAME))])
        layers = self.child(node)
        if self.maker.chance(0.4):
            self.lines += [f"for each in @{layers}:", f"    {name} = each({name})"]
        elif self.maker.chance(0.5) and not (isinstance(node, Repeat) and node.pattern):
            self.lines += [f"for j in range(len(@{layers})):", f"    {name} = {name} + @{layers}[j]({name})"]
        elif not (isinstance(node, Repeat) and node.pattern):
            self.set(f"@{layers}[0](@{layers}[-1]({name}))", size)
        else:
            first = node.pattern.replace("{i}", "0").replace("{i + 1}", "1")
            self.set(f"@{layers}.{first}({name})", size)

    def recurrent(self) -> None:
        name, target = self.variable(), self.fresh()
        size = self.maker.pick(self.scope.sizes())
        kind = self.maker.pick(["LSTM", "GRU"])
        layer = self.child(Layer(kind, {"input_size": self.sizes[name], "hidden_size": size}))
        if self.maker.chance(0.5):
            self.lines.append(f"{target}, _ = @{layer}({name})")
        else:
            last = self.fresh()
            bundle = f"({last}, _)" if kind == "LSTM" else last
            self.lines += [f"{target}, {bundle} = @{layer}({name})", f"{target} = {target} + {last}"]
        self.sizes[target] = size

    def attention(self) -> None:
        name, target = self.variable(), self.fresh()
        layer = self.child(Layer("MultiheadAttention", {"embed_dim": self.sizes[name], "num_heads": "1"}))
        self.lines.append(f"{target} = @{layer}({name}, {name}, {name})[0]")
        self.sizes[target] = self.sizes[name]

    def defined(self, inputs: int, outputs: int) -> Block | None:
        found = self.scope.definitions.values()
        fitting = [each for each in found if (len(each.kind.inputs), len(each.kind.outputs)) == (inputs, outputs)]
        return self.maker.pick(fitting) if fitting else None

    def unpack(self) -> None:
        """A block that returns two values."""
        definition = self.defined(1, 2)
        if definition is None:
            return
        name, target = self.variable(), self.fresh()
        size = self.sizes[name] if definition.kind.outputs[0] == "dim" else self.maker.pick(self.scope.sizes())
        layer = self.child(self.maker.used(self.scope, definition, self.sizes[name], size))
        if definition.kind.bundle == "pair":
            other = self.fresh()
            self.lines += [f"{target}, {other} = @{layer}({name})", f"{target} = {target} - {other}"]
        else:
            self.lines += [f"{target} = @{layer}({name})", f"{target} = {target}['left'] + {target}['right']"]
        self.sizes[target] = size

    def merge(self) -> None:
        """A block of two inputs."""
        definition = self.defined(2, 1)
        if definition is None:
            return
        name = self.variable()
        size = self.sizes[name]
        other = self.variable(size)
        result = size if definition.kind.outputs[0] == "dim" else self.maker.pick(self.scope.sizes())
        layer = self.child(self.maker.used(self.scope, definition, size, result))
        texts = ["@{0}({1}, {2})", "@{0}({1}, y={2})", *(["@{0}({1})"] * 2 if definition.kind.optional else [])]
        self.set(self.maker.pick(texts).format(layer, name, other), result)

    def slice(self) -> None:
        name = self.variable()
        if self.maker.chance(0.4):
            self.set(f"{name}[:, :2]", "2")
        else:
            texts = ["{}[..., None].squeeze(-1)", "{}[None][0]", "{0}.view({0}.shape[0], -1)", "{}.T.contiguous().T"]
            self.set(self.maker.pick(texts).format(name), self.sizes[name])

    def create(self) -> None:
        """A tensor made in the forward."""
        name = self.variable()
        size = self.sizes[name]
        if re.fullmatch(r"\w+", size):
            shown = size if size.isdigit() else f"@{size}"
            self.set(f"{name} + {self.maker.pick(['&arange({})', '&ones(1, {})', '&zeros({})']).format(shown)}", size)

    def mode(self) -> None:
        name = self.variable()
        self.lines += ["if @training:", f"    {name} = {self.perhaps(name)}"]


# --- as a config -----------------------------------------------------------------------------------------------------

POSITIONS = {
    "Linear": ["in_features", "out_features", "bias"],
    "LSTM": ["input_size", "hidden_size"],
    "GRU": ["input_size", "hidden_size"],
    "MultiheadAttention": ["embed_dim", "num_heads"],
    "Embedding": ["num_embeddings", "embedding_dim"],
}


class Config:
    """Writes a model as plain data, in notations chosen at random."""

    def __init__(self, seed: int) -> None:
        self.random = Random(f"config {seed}")

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def node(self, node: Node) -> Any:
        if isinstance(node, If):
            return {"_if_": node.test, **self.mapping(self.node(node.node))}
        if isinstance(node, Repeat):
            named = {} if node.pattern is None else {"_name_": node.pattern}
            return {"_repeat_": literal(node.count), **named, **self.mapping(self.node(node.node))}
        if isinstance(node, Ref):
            return {"_ref_": ".".join(node.path)}
        if isinstance(node, Recipe):
            return f"={node.arg}" if self.chance(0.5) else f"{node.arg}()"
        if isinstance(node, Block):
            return self.block(node)
        if isinstance(node, Use):
            definition = node.definition
            return self.call(definition.name, node.arguments, list(definition.args), definition.values)
        if isinstance(node, Nested):
            return self.nested(node)
        return self.layer(node)

    def layer(self, node: Layer) -> Any:
        positions = POSITIONS.get(node.name, list(node.arguments))
        arguments = {name: value for name, value in node.arguments.items() if name != node.left_out}
        return self.call(("torch.nn." if self.chance(0.1) else "") + node.name, arguments, positions, {})

    def mapping(self, written: Any) -> dict[str, Any]:
        """The form that takes further keys."""
        if isinstance(written, str):
            return {"_target_": written.lstrip("=")}
        return {"layers": written} if isinstance(written, list) else dict(written)

    def nested(self, node: Nested) -> Any:
        items = [self.layer(each) for each in node.items]
        if all(isinstance(each, str) for each in items):
            inside = ", ".join(each.lstrip("=") for each in items)
            return f"{node.name}([{inside}])" if node.name == "ModuleList" else f"{node.name}({inside})"
        items = [self.mapping(each) for each in items]
        return {"_target_": node.name, "_args_": [items] if node.name == "ModuleList" else items}

    def call(self, target: str, arguments: dict[str, str], positions: list[str], values: dict[str, str]) -> Any:
        """As Python does, as Hydra does, or both at once; by position as far as that goes, or by name."""
        known = next((at for at, name in enumerate(positions) if name not in arguments), len(positions))
        cut = self.random.choice([0, known, self.random.randint(0, known)])
        first, rest = positions[:cut], [name for name in arguments if name not in positions[:cut]]
        items = [self.value(arguments[name], values.get(name)) for name in first]
        named = {name: self.value(arguments[name], values.get(name)) for name in rest}
        shown = [arguments[name] for name in first]
        style = self.random.randrange(4)
        if style == 0:
            return {"_target_": target, **({"_args_": items} if items else {}), **named}
        if style == 1:
            return {"_target_": f"{target}({', '.join(shown)})", **named}
        text = ", ".join([*shown, *(f"{name}={arguments[name]}" for name in rest)])
        if not text:
            return self.random.choice([target, f"{target}()"])
        return f"={target}({text})" if self.chance(0.1) else f"{target}({text})"

    def value(self, text: str, what: str | None) -> Any:
        """A value of the mapping form."""
        if what == "layer" and text != "act":
            return text
        value = literal(text)
        return f"={value}" if isinstance(value, str) and value != REQUIRED else value

    def block(self, block: Block) -> Any:
        layers: Any = {name: self.node(block.children[name]) for name in block.order}
        if block.listed:
            layers = [*layers.values()]
            if not (block.args or block.definitions or block.ties or block.closed) and self.chance(0.5):
                return layers
        kinds = {"parameters": "parameter", "buffers": "buffer"}
        written = {
            "args": self.args(block),
            "inputs": self.inputs(block),
            "layers": layers,
            **{key: {own.name: self.tensor(own) for own in block.tensors if own.kind == kinds[key]} for key in kinds},
            "forward": None if block.lines is None else self.forward(block.lines),
            "blocks": {name: self.block(each) for name, each in block.definitions.items()},
            "tie": dict(block.ties),
        }
        keys = [key for key, value in written.items() if value or (key == "layers" and block.lines is None)]
        self.random.shuffle(keys)
        return {key: written[key] for key in keys}

    def forward(self, lines: list[str]) -> str:
        present = self.random.choice([r"\1", r"\1 is not None"])
        text = re.sub(r"@\?(\w+)", present, "\n".join(lines))
        text = re.sub(r"[@&](?=\w)", "", text)
        return text.removeprefix("return ") if len(lines) == 1 and self.chance(0.7) else text

    def args(self, block: Block) -> Any:
        if block.name == "Model" or self.chance(0.5):
            return {name: self.value(default, block.values[name]) for name, default in block.args.items()}
        return [name if default == REQUIRED else f"{name}={default}" for name, default in block.args.items()]

    def inputs(self, block: Block) -> Any:
        if block.name == "Model":
            sizes = dict(zip(block.inputs, block.kind.inputs, strict=False))
            ids = {"shape": [3], "dtype": "int64"}
            return {name: [3, sizes[name]] if name in sizes else ids for name in block.inputs}
        if block.inputs == ["x"]:
            return self.random.choice([None, ["x"], {"x": REQUIRED}])
        if self.chance(0.5):
            return ["x", "y=None" if block.kind.optional else "y"]
        return {"x": REQUIRED, "y": None if block.kind.optional else REQUIRED}

    def tensor(self, own: Own) -> dict[str, Any]:
        shape: Any = [literal(each) for each in own.shape]
        flags = {"dtype": own.dtype} if own.dtype else {}
        flags |= {} if own.trainable else {"trainable": False}
        flags |= {} if own.persistent else {"persistent": False}
        return {"shape": shape, "fill": "uniform(-1, 1)" if own.constant is None else own.constant, **flags}


def literal(text: str) -> Any:
    """A number or truth value as itself, anything else as the text it is."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


# --- as source -------------------------------------------------------------------------------------------------------

FUNCTIONS = {name: f"functional.{name}" for name in ("gelu", "silu", "linear")}
HEAD = """import functools
from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional
"""


class Source:
    """Writes a model as PyTorch source: a class for a block with a forward, a function for a sequence."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.parts: list[str] = [HEAD]

    def text(self, root: Block) -> str:
        """The whole file; `Model_0` makes the model."""
        self.define(root)
        return "\n\n".join(self.parts)

    def define(self, block: Block) -> str:
        """The name of a block's class or function, which is written at its first use."""
        if id(block) not in self.names:
            name = self.names[id(block)] = f"{block.name or 'Block'}_{len(self.names)}"
            self.parts.append(self.sequence(block, name) if block.lines is None else self.module(block, name))
        return self.names[id(block)]

    def node(self, node: Node) -> str:
        """An expression that makes the node."""
        if isinstance(node, If):
            return f"({self.node(node.node)} if {node.test} else None)"
        if isinstance(node, Repeat):
            made = self.node(node.node)
            name = node.pattern or "{i}"
            return f'nn.Sequential(OrderedDict((f"{name}", {made}) for i in range({node.count})))'
        if isinstance(node, Ref):
            first, *rest = node.path
            return local(first) + (f'.get_submodule("{".".join(rest)}")' if rest else "")
        if isinstance(node, Recipe):
            return f"{node.arg}()"
        if isinstance(node, Nested):
            items = ", ".join(map(self.node, node.items))
            return f"nn.ModuleList([{items}])" if node.name == "ModuleList" else f"nn.Sequential({items})"
        if isinstance(node, Layer):
            return f"nn.{node.name}({', '.join(f'{name}={value}' for name, value in node.arguments.items())})"
        if isinstance(node, Use):
            values = node.definition.values
            given = {name: factory(v) if values[name] == "layer" else v for name, v in node.arguments.items()}
            return f"{self.define(node.definition)}({', '.join(f'{name}={value}' for name, value in given.items())})"
        return f"{self.define(node)}({', '.join(f'{each}={each}' for each in self.seen(node))})"

    def seen(self, block: Block) -> list[str]:
        """What a block written in place takes from around it."""
        return [*(name for name in block.values if name not in block.args), *map(local, block.outer)]

    def signature(self, block: Block) -> tuple[list[str], list[str]]:
        """The parameters of a block, and the lines that compute those that have formulas."""
        if not block.closed:
            return self.seen(block), [f"{name} = {default}" for name, default in block.args.items()]
        parameters, lines = [], []
        for name, default in block.args.items():
            if default == REQUIRED:
                parameters.append(name)
            elif block.values[name] == "layer":
                parameters.append(f"{name}={factory(default)}")
            elif names_in(default) <= {"True", "False"}:
                parameters.append(f"{name}={default}")
            else:
                parameters.append(f"{name}=None")
                lines.append(f"{name} = {default} if {name} is None else {name}")
        return parameters, lines

    def children(self, block: Block) -> list[str]:
        return [f"{local(name)} = {self.node(child)}" for name, child in block.children.items()]

    def sequence(self, block: Block, name: str) -> str:
        parameters, lines = self.signature(block)
        made = ", ".join(map(local, block.order))
        if block.listed:
            lines += [*self.children(block), f"net = nn.Sequential(*[each for each in [{made}] if each is not None])"]
        else:
            items = ", ".join(f'("{each}", {each})' for each in block.order)
            present = f"(name, each) for name, each in [{items}] if each is not None"
            lines += [*self.children(block), f"net = nn.Sequential(OrderedDict({present}))"]
        lines += [*self.ties(block, "net"), "return net"]
        return "\n    ".join([f"def {name}({', '.join(parameters)}):", *lines])

    def module(self, block: Block, name: str) -> str:
        parameters, lines = self.signature(block)
        text = "\n".join(block.lines or [])
        read = {each for each in re.findall(r"@(\w+)", text) if each in block.values}
        lines = ["super().__init__()", *lines, *(f"self.{each} = {each}" for each in sorted(read))]
        for own in block.tensors:
            shape = f"({', '.join([*own.shape, ''])})" if own.shape else "()"
            value = f"torch.full({shape}, {own.constant or 0.0}" + (f", dtype=torch.{own.dtype})" if own.dtype else ")")
            if own.kind == "parameter":
                lines.append(f"self.{own.name} = nn.Parameter({value}, requires_grad={own.trainable})")
            else:
                lines.append(f'self.register_buffer("{own.name}", {value}, persistent={own.persistent})')
        lines += [*self.children(block), *(f"self.{each} = {each}" for each in block.order), *self.ties(block, "self")]
        inputs = [f"{each}=None" if each == "y" and block.kind.optional else each for each in block.inputs]
        return "\n".join(
            [
                f"class {name}(nn.Module):",
                f"    def __init__({', '.join(['self', *parameters])}):",
                *(f"        {line}" for line in lines),
                "",
                f"    def forward({', '.join(['self', *inputs])}):",
                *(f"        {line}" for line in self.forward(text)),
            ]
        )

    def forward(self, text: str) -> list[str]:
        text = re.sub(r"@\?(\w+)", r"self.\1 is not None", text)
        text = re.sub(r"@(?=\w)", "self.", text)
        text = re.sub(r"&(\w+)", lambda found: FUNCTIONS.get(found[1], f"torch.{found[1]}"), text)
        # a new tensor, as a config means it: torch's own += would change the tensor in place
        return re.sub(r"(?m)^(\w+) ([-+*])= (.*)$", r"\1 = \1 \2 \3", text).splitlines()

    def ties(self, block: Block, owner: str) -> list[str]:
        return [f"{place(owner, left)} = {place(owner, right)}" for left, right in block.ties.items()]


def local(name: str) -> str:
    return f"m{name}" if name.isdigit() else name


def factory(text: str) -> str:
    """A layer that each call makes anew: `ReLU`, `LeakyReLU(0.2)`, or an arg."""
    name, _, rest = text.rstrip(")").partition("(")
    if name == "act":
        return name
    return f"functools.partial(nn.{name}, {rest})" if rest else f"nn.{name}"


def place(owner: str, path: str) -> str:
    module, _, name = path.rpartition(".")
    return f'{owner}.get_submodule("{module}").{name}' if module else f"{owner}.{name}"
