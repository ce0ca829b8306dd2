from __future__ import annotations

import copy
import math
import pickle
import traceback
from types import FunctionType
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from modelzoo.catalog.functions import register_function
from modelzoo.errors import TextError
from modelzoo.language import compiler, formulas, syntax
from modelzoo.language.names import Names, Read
from modelzoo.language.runtime import EndlessError, LoopError

NAMES = Names(
    inputs=("x", "y"),
    values=frozenset({"depth", "widths", "optional"}),
    layers=frozenset({"fc", "blocks", "heads", "enc", "absent"}),
    tensors=frozenset({"scale"}),
    outer=frozenset({"embed"}),
)
FILL = Names(
    inputs=("shape", "fan_in", "fan_out", "value"),
    values=frozenset({"std", "widths"}),
    fills=frozenset({"normal", "uniform", "ones", "sort"}),
)
VALUES: dict[str, Any] = {"depth": 3, "widths": [4, 5], "optional": None}


class Enc(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.embed = nn.LayerNorm(4), nn.Embedding(5, 4)
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])


class Owner(nn.Module):
    """A block written by hand, with everything that NAMES promises."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc = nn.Linear(4, 4)
        self.blocks = nn.ModuleList([nn.Sequential() for _ in range(2)])
        for each in self.blocks:
            each.add_module("norm", nn.LayerNorm(4))
            each.add_module("fc", nn.Linear(4, 4))
        self.heads = nn.ModuleDict({"a": nn.Linear(4, 2)})
        self.enc = Enc()
        self.absent: nn.Module | None
        self.register_module("absent", None)
        self.scale = nn.Parameter(torch.rand(4))


OWNER = Owner()
X, Y = torch.linspace(-1, 2, 12).view(3, 4), torch.linspace(1, 3, 12).view(3, 4)


def forward(text: str, names: Names = NAMES, values: dict[str, Any] = VALUES, max_steps: int = 100) -> FunctionType:
    translation = compiler.translate(text, names, "Net.forward")
    assert [error.what for error in translation.errors] == []
    assert translation.code is not None
    return compiler.link(translation.code, values, max_steps)


def errors_of(text: str, names: Names = NAMES) -> list[str]:
    return [f"{error.what}. {error.hint}" for error in compiler.translate(text, names, "Net.forward").errors]


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor):
        return type(a) is type(b) and a.dtype == b.dtype and torch.equal(a.nan_to_num(7), b.nan_to_num(7))
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(map(same, a.values(), b.values()))
    return type(a) is type(b) and (a == b or (a != a and b != b))


def python(text: str) -> Any:
    """What Python makes of the same text: plain `exec`, with torch's functions and the layers as names."""
    scope: dict[str, Any] = {name: getattr(torch, name) for name in "relu cat zeros arange where softmax sqrt".split()}
    scope |= VALUES | {"scale": OWNER.scale, "training": OWNER.training}
    scope |= {name: getattr(OWNER, name) for name in NAMES.layers}
    lines = text.strip().splitlines()
    if "return" not in text:
        lines = [f"return {text}"]
    exec("def f(x, y):\n" + "\n".join("    " + line for line in lines), scope)
    return scope["f"](X, Y)


# --- what is allowed computes what Python computes -----------------------------------------------------------------

EXPRESSIONS = """
x + y * 2 - x / y
x // y
x % y
-x ** 2
x @ y.T
x ** y
2 ** depth
-x + +y
~(x > 0)
(x > 0) & (y > 2) | (x < 0) ^ (y < 1)
x < y
0 < depth <= 3
depth == 3 and not depth > 4
depth or 5
x if depth > 2 else y
optional is None
fc is not None
x[0]
x[:, 1:3]
x[..., -1]
x[None, 0, ::2]
x[x > 0]
x.shape[0]
(x, y)
[x, 1, True, None, 2.5]
{'a': x, 'b': {'c': y}}
widths[1] * depth
len(widths)
len(blocks)
max(widths)
sum(widths)
round(2.7)
int(x.sum()) + float(2)
fc(x)
relu(fc(x))
blocks[0].fc(x)
blocks[-1].norm(x)
blocks[depth - 2].fc(x)
heads['a'](x)
enc.norm(x)
enc.layers[1](x)
enc.embed.weight
enc.embed.weight.shape[0]
enc.layers[0].weight
fc.weight
fc.weight @ x.T
x * scale
training
x.mean(dim=1, keepdim=True)
x.view(-1).sort()[0]
x.max(1)[1]
cat([x, y], dim=1)
cat((x, y))
where(x > 0, x, y)
softmax(x, dim=-1)
x.to(y.dtype)
x.unsqueeze(0).permute(2, 0, 1).shape
x.sum().item()
x.T.dtype
(x * 2).relu().sum()
""".strip().splitlines()

STATEMENTS = [
    "a = x + 1\nreturn a * 2",
    "a, (b, _) = x, (y, 1)\nreturn a - b",
    "a = b = x + 1\na = a + y\nreturn a, b",
    "a = depth\na *= 2\na -= 1\nreturn a, depth",
    "x = fc(x)\nreturn x",
    "if depth > 2:\n  a = x\nelse:\n  a = y\nreturn a",
    "if depth > 5:\n  return x\nelif depth > 2:\n  b = y\nelse:\n  return y\nreturn b",
    "if x.sum() > 0:\n  return x\nelse:\n  return y",
    "if optional is None:\n  pass\nreturn x",
    "n = 0\nwhile n < 7:\n  n += 2\nreturn n",
    "n = 0\na = x\nwhile a.sum() < 100 and n < 50:\n  a = a * 2\n  n += 1\nreturn a, n",
    "a = x\nfor i in range(3):\n  a = a + i\nreturn a",
    "a = 0\nfor i in range(depth, 0, -1):\n  for j in range(i):\n    a += j\nreturn a",
    "for _ in range(len(blocks)):\n  x = fc(x)\nreturn x",
    "for i in range(len(blocks)):\n  x = blocks[i].fc(x)\nreturn x",
    "for b in blocks:\n  x = x + b.norm(b.fc(x))\nreturn x",
    "for b in enc.layers:\n  x = b(x)\nreturn x",
    "for i in range(2):\n  if i > 0:\n    x = x * 2\nreturn x",
    "for b in blocks[1:]:\n  x = b.fc(x)\nreturn x",
    "for b in enc.layers[:-1]:\n  x = b(x)\nreturn x",
    "for b in enc.layers[depth - 4::-1]:\n  x = b(x)\nreturn x",
    "for b in reversed(enc.layers):\n  x = b(x)\nreturn x",
    "for k, b in enumerate(enc.layers):\n  x = b(x) * k\nreturn x",
    "for k, b in enumerate(enc.layers[1:], depth):\n  x = b(x) * k\nreturn x",
    "for b, f in zip(blocks, enc.layers):\n  x = b.norm(f(x))\nreturn x",
    "for k, (b, f) in enumerate(zip(blocks, reversed(enc.layers))):\n  x = b.norm(f(x)) + k\nreturn x",
    "for i, j in zip(range(4), reversed(range(9))):\n  x = x * i + j\nreturn x",
    "for i in range(4):\n  if i == 2:\n    break\n  x = x * i\nreturn x",
    "for i in range(4):\n  if i == 2:\n    continue\n  x = x + i\nreturn x",
    "n = 0\nwhile True:\n  n += 1\n  if n < 3:\n    continue\n  elif n > 5:\n    break\n  x = x + n\nreturn x, n",
    "for i in range(3):\n  for j in range(3):\n    if j > i:\n      break\n    x = x + j\nreturn x",
    "for i in range(3):\n  if i > 1:\n    y = x\n    break\n  else:\n    a = i\n  x = x + a\nreturn x, y",
    "max = x + 1\nreturn max",
    "return x  # the rest of the line is a remark",
    "\n  a = x\n  return a\n",
]


@pytest.mark.parametrize("text", [*EXPRESSIONS, *STATEMENTS])
def test_an_allowed_text_computes_what_python_computes(text: str) -> None:
    with torch.no_grad():
        assert same(
            forward(text)(OWNER, X.clone(), Y.clone()),
            python("\n".join(text.split("\n  ")) if text[0] == "\n" else text),
        )


def test_an_augmented_assignment_leaves_the_argument_alone() -> None:
    x = torch.ones(2)
    out = forward("x += y\nx *= 3\nreturn x")(OWNER, x, torch.ones(2))
    assert out.tolist() == [6.0, 6.0]
    assert x.tolist() == [1.0, 1.0]


def test_sorting_a_list_leaves_the_list_alone() -> None:
    widths = [2, 1]
    with pytest.raises(TypeError):
        forward("widths.sort()", values={**VALUES, "widths": widths})(OWNER, X, Y)
    assert widths == [2, 1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sqrt(depth)", math.sqrt(3)),
        ("log2(8)", 3.0),
        ("float('-inf')", -math.inf),
        ("x.to('float64').dtype", torch.float64),
        ("rfft(x).dtype", torch.complex64),
        ("torch.fft.irfft(torch.fft.rfft(x), n=4).shape", torch.Size([3, 4])),
        ("complex(x, y).conj().imag.max() + fft2(x).angle().ndim", torch.tensor(1.0)),
        ("searchsorted(arange(4), 2).item() + bucketize(3, arange(9)).item()", 5),
        ("x.to(dtype='int8').dtype", torch.int8),
        ("zeros(2, dtype='int64').dtype", torch.int64),
        ("interpolate(x[None], scale_factor=2.0, mode='nearest').shape", torch.Size([1, 3, 8])),
        ("einsum('ij,kj->ik', x, y).shape", torch.Size([3, 3])),
        ("x.masked_fill(x < 0, -1e30).min() < -1e29", torch.tensor(True)),
    ],
)
def test_torchs_names_and_literal_texts_mean_what_torch_means(text: str, expected: Any) -> None:
    assert forward(text)(OWNER, X, Y) == expected


def test_a_layer_that_is_absent_is_tested_for_presence() -> None:
    assert forward("fc(x) if absent and depth > 0 else depth")(OWNER, X, Y) == 3
    assert forward("absent is None")(OWNER, X, Y) is True
    assert torch.equal(forward("fc(x) if fc else x")(OWNER, X, Y), OWNER.fc(X))


def test_a_value_may_have_a_functions_name_and_what_is_called_is_the_function() -> None:
    assert torch.equal(forward("relu = relu(x)\nreturn relu")(OWNER, X, Y), X.relu())
    assert torch.equal(forward("relu = x\nreturn relu(relu)")(OWNER, X, Y), X.relu())
    assert errors_of("y = x\nreturn y(x)") == ["'y' is a value, not a function or a layer. "]
    names = Names(inputs=("x",), layers=frozenset({"linear", "self"}))
    assert compiler.translate("linear(self(x))", names, "forward").errors == ()


# --- what is refused -----------------------------------------------------------------------------------------------

HINT = "Statements are assignment, if, while, for and return."
PRIVATE = "Names have ASCII letters, digits and '_', and start with a letter."
PARTS = "Layers are called, and their tensors are read: layer(x), layer.weight."
REFUSED = {
    # statements
    "import os\nreturn x": f"import has no place here. {HINT}",
    "from os import path\nreturn x": f"import has no place here. {HINT}",
    "def f(): return 1\nreturn x": f"def has no place here. {HINT}",
    "class A: pass\nreturn x": f"class has no place here. {HINT}",
    "try:\n  a = x\nfinally:\n  b = x\nreturn x": f"try has no place here. {HINT}",
    "with x:\n  a = x\nreturn x": f"with has no place here. {HINT}",
    "del x\nreturn y": "del has no place here. Remove this line.",
    "global x\nreturn y": f"global has no place here. {HINT}",
    "raise x": f"raise has no place here. {HINT}",
    "assert depth\nreturn x": "assert has no place here. Remove this line.",
    "a: int = 1\nreturn a": "an annotation has no place here. Write a = 1.",
    "break": "break stands in a loop only. End the text with return.",
    "if depth:\n  continue\nreturn x": "continue stands in a loop only. End the text with return.",
    "match x:\n  case _: pass\nreturn x": f"match has no place here. {HINT}",
    "fc(x)\nreturn x": "this line has no effect. Assign its value to a name, or return it.",
    "x.add_(y)\nreturn x": "'add_' changes its tensor in place. Write x = x.add(y).",
    "return": "return without a value. Write what is returned.",
    "a = x": "the text ends without return. End every way through it with return.",
    "if depth:\n  return x": "the text ends without return. End every way through it with return.",
    "while depth:\n  x = y\nelse:\n  x = x\nreturn x": "else after while has no place here. ",
    "for i in range(2):\n  x = y\nelse:\n  x = x\nreturn x": "else after for has no place here. ",
    "for i in x:\n  y = i\nreturn y": "for goes over range(...) or layers. Write:\nfor k in range(len(x)):\n    y = x[k]",
    "for a, b in zip(blocks):\n  y = x\nreturn y": "zip gives an item of each. Write for a, b in zip(first, second).",
    "for a in zip(blocks, enc.layers):\n  y = x\nreturn y": "zip gives an item of each. Write for a, b in zip(first, second).",
    "for a in enumerate(blocks):\n  y = x\nreturn y": "enumerate gives a number and an item. Write for k, layer in enumerate(layers).",
    "for a, b in reversed(zip(blocks, blocks)):\n  y = x\nreturn y": "reversed takes one thing that has an end. Write for layer in reversed(layers).",
    "for x.data, b in enumerate(blocks):\n  y = x\nreturn y": "the loop variable must be one name. Write for i in range(n).",
    "for a, b in zip(blocks[1:], x):\n  y = b\nreturn y": "for goes over range(...) or layers. Write for i in range(n).",
    "for a, b in zip(blocks, x):\n  y = b\nreturn y": "for goes over range(...) or layers. Write:\nfor k in range(min(len(blocks), len(x))):\n    y = x[k]",
    "for a, b in blocks:\n  y = x\nreturn y": "the loop variable must be one name. Write for i in range(n).",
    "for i, j in range(2):\n  y = x\nreturn y": "the loop variable must be one name. Write for i in range(n).",
    "for i in range(stop=2):\n  y = x\nreturn y": "range takes one to three numbers. Write range(stop) or range(start, stop, step).",
    # assignment
    "x[0] = 1\nreturn x": "elements cannot be assigned here. Use where(...), cat(...) or a mask.",
    "x[0] += 1\nreturn x": "only names can be assigned. Write x = x + y.",
    "x.data = y\nreturn x": "only names can be assigned. ",
    "a, *b = x\nreturn a": "a starred value has no place here. ",
    "fc = x\nreturn x": "'fc' belongs to the block and cannot be assigned. Take another name.",
    "scale = x\nreturn x": "'scale' belongs to the block and cannot be assigned. Take another name.",
    "depth += 1\nreturn x": "'depth' belongs to the block and cannot be assigned. Take another name.",
    "training = True\nreturn x": "'training' belongs to the block and cannot be assigned. Take another name.",
    "for fc in range(2):\n  y = x\nreturn y": "'fc' belongs to the block and cannot be assigned. Take another name.",
    "_a = x\nreturn x": f"'_a' cannot be a name. {PRIVATE}",
    "é = x\nreturn x": f"'é' cannot be a name. {PRIVATE}",
    "_ = x\nreturn _": "'_' is never read. Give the value a name.",
    "for _ in range(2):\n  x = x + _\nreturn x": "'_' is never read. Give the value a name.",
    # names
    "zz": "there is no value 'zz'. Known: x, y, absent, blocks, depth, enc, fc, heads, optional, scale, widths.",
    "dept * x": "there is no value 'dept'. Did you mean 'depth'?",
    "x + false": "there is no value 'false'. Did you mean 'False'?",
    "x if TRUE else y": "there is no value 'TRUE'. Did you mean 'True'?",
    "null": "there is no value 'null'. Did you mean 'None'?",
    "embed": "'embed' belongs to the block outside. Add embed: {_ref_: embed} to this block's layers.",
    "embed(x)": "'embed' belongs to the block outside. Add embed: {_ref_: embed} to this block's layers.",
    "if depth:\n  a = x\nreturn a": "'a' is not set on every way that leads here. Set it before the branch or loop.",
    "for i in range(2):\n  a = x\nreturn a": "'a' is not set on every way that leads here. Set it before the branch or loop.",
    "for i in range(2):\n  a = x\nreturn i": "'i' is not set on every way that leads here. Set it before the branch or loop.",
    "_self": f"'_self' cannot be a name. {PRIVATE}",
    "__builtins__": f"'__builtins__' cannot be a name. {PRIVATE}",
    "relu": "'relu' is a function. Call it: relu(...).",
    "reluu(x)": "there is no function or layer 'reluu'. Did you mean 'relu'?",
    "eval(x)": "there is no function or layer 'eval'. ",
    "range(3)": "range(...) stands in for only. Write for i in range(n), or arange(n) for a tensor.",
    "fft.rfft(x)": "a function is called by its name alone. Write rfft(x).",
    "fft.rffft(x)": "there is no function 'fft.rffft'. Did you mean 'rfft'?",
    "torch.fft(x)": "a function is called by its name alone. Write fft(x).",
    "_relu(x)": "there is no function or layer '_relu'. Did you mean 'relu'?",
    "x(y)": "'x' is a value, not a function or a layer. ",
    "depth(y)": "'depth' is a value, not a function or a layer. ",
    "x[0](y)": "only functions, methods and layers are called. ",
    "fc(x)(y)": "only functions, methods and layers are called. ",
    # layers and functions are called, not passed around
    "fc": "'fc' is a layer. Call it: fc(x).",
    "a = fc\nreturn a(x)": "'fc' is a layer. Call it: fc(x).",
    "relu(fc)": "'fc' is a layer. Call it: fc(x).",
    "blocks[0]": "'blocks' is a layer. Call it: blocks(x).",
    "blocks[0:1](x)": "a layer is picked by one index. Write:\nout = x\nfor layer in blocks[0:1]:\n    out = layer(out)\nreturn out",
    "fc == x": "'fc' is a layer. Call it: fc(x).",
    "x is y": "'is' compares with None only. Write == instead.",
    "fc is None is None": "'is' compares with None only. Write == instead.",
    "fc.half()": f"'half' of a layer has no place here. {PARTS}",
    "blocks[0].half()": f"'half' of a layer has no place here. {PARTS}",
    "blocks[depth].to('float16')": f"'to' of a layer has no place here. {PARTS}",
    "for b in blocks:\n  x = b.half()\nreturn x": f"'half' of a layer has no place here. {PARTS}",
    "fc.forward(x)": f"'forward' of a layer has no place here. {PARTS}",
    "fc._modules": f"'_modules' of a layer has no place here. {PARTS}",
    "fc._modules(x)": f"'_modules' of a layer has no place here. {PARTS}",
    "fc.__class__": f"'__class__' of a layer has no place here. {PARTS}",
    "fc.parameters": f"'parameters' of a layer has no place here. {PARTS}",
    "for b in blocks:\n  x = b.weight\nreturn x": "a tensor of a layer is read by its full name. Write layer.weight, or layers[0].weight.",
    "blocks[depth].weight": "a tensor of a layer is read by its full name. Write layer.weight, or layers[0].weight.",
    "for b in blocks:\n  b = x\nreturn x": "'b' would be a layer in one place and a value in another. Take another name.",
    # attributes and methods
    "x.relu": "'relu' is a method. Call it: .relu(...).",
    "x.data": "there is no attribute 'data'. Known: H, T, dtype, imag, mH, mT, ndim, real, shape.",
    "x.grad_fn": "there is no attribute 'grad_fn'. Known: H, T, dtype, imag, mH, mT, ndim, real, shape.",
    "x.shapes": "there is no attribute 'shapes'. Did you mean 'shape'?",
    "x.relu_()": "'relu_' changes its tensor in place. Write x.relu().",
    "x.numpy()": "'numpy' is not a method of a tensor. Did you mean 'numel'?",
    "x.cuda()": "where a tensor lies is no part of a model. Write x.",
    "x.backward()": "'backward' is not a method of a tensor. ",
    "x.__reduce__()": "'__reduce__' is not a method of a tensor. Did you mean 'relu'?",
    "x.to('cuda')": "where a tensor lies is no part of a model. Write x.",
    "x.to(y)": "to takes one dtype. Write x.to(y.dtype).",
    "x.to(0)": "where a tensor lies is no part of a model. Write x.",
    "x.to(y.dtype, copy=True)": "to takes one dtype. Write x.to('float32') or x.to(y.dtype).",
    # arguments
    "cat([x, y], out=x)": "the argument 'out' has no place here. ",
    "zeros(2, device='cuda')": "the argument 'device' has no place here. Write zeros(2).",
    "leaky_relu(x, inplace=True)": "the argument 'inplace' has no place here. Write leaky_relu(x).",
    "relu(x, True)": "relu takes at most 1 argument by position, not 2. ",
    "dropout(x, 0.5, True, True)": "dropout takes at most 3 arguments by position, not 4. Name the others.",
    "fc(x, _hidden=1)": "the argument '_hidden' has no place here. ",
    "fc(*x)": "a starred value has no place here. ",
    "fc(**x)": "a starred value has no place here. Write each argument.",
    "max('a', 'b')": "the text 'a' has no place here. Texts are arguments (mode='nearest'), keys of dicts, and what an arg is compared with.",
    # expressions
    "lambda: x": "lambda has no place here. ",
    "[i for i in x]": "a comprehension has no place here. Write:\nitems = []\nfor k in range(len(x)):\n    items += [x[k]]\nreturn items",
    "(i for i in x)": "a comprehension has no place here. Write:\nitems = []\nfor k in range(len(x)):\n    items += [x[k]]\nreturn items",
    "f'{x}'": "an f-string has no place here. ",
    "(a := x)": "':=' has no place here. ",
    "{x, y}": "a set has no place here. ",
    "[*x]": "a starred value has no place here. Write x.",
    "{**x}": "the keys of a dict are texts. Write {'name': value}.",
    "{1: x}": "the keys of a dict are texts. Write {'name': value}.",
    "'abc'": "the text 'abc' has no place here. Texts are arguments (mode='nearest'), keys of dicts, and what an arg is compared with.",
    "'%9999999999d' % depth": "the text '%9999999999d' has no place here. Texts are arguments (mode='nearest'), keys of dicts, and what an arg is compared with.",
    "'a' * 99": "the text 'a' has no place here. Texts are arguments (mode='nearest'), keys of dicts, and what an arg is compared with.",
    "1j * x": "1j has no place here. ",
    "b'a'": "b'a' has no place here. ",
    "...": "... has no place here. ",
    "1 << 9": "the operator of '1 << 9' has no place here. ",
    "x ** 65": "the exponent 65 is too large. At most 64 is allowed.",
    "x + 9223372036854775808": "this number is too large. Integers are below 9,223,372,036,854,775,808.",
    "x * 1e999": "this number is too large. Integers are below 9,223,372,036,854,775,808.",
    # what cannot be read
    "relu(x": "cannot read this text: '(' was never closed: relu(x. YAML may have cut it at a comma: put the whole text in quotes.",
    "\xa0": "this text is empty. Write an expression.",
    "# nothing": "this text is empty. Write an expression.",
    " = ": "this text is empty. Write an expression.",
    "x + \\y": "a backslash has no place in a text. ",
    "x +\x0c y": "the character '\\x0c' has no place in a text. ",
    "(" * 51: "brackets are nested more than 50 deep. ",
    "-" * 51 + "x": "operators are nested more than 50 deep. ",
    "x" + ".T" * 3_000: "this text is nested more than 100 deep. Give its parts names.",
    "x" * 40_001: "this text has 40,001 characters; at most 40,000 are allowed. ",
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED.items(), ids=[text[:40] for text in REFUSED])
def test_a_text_is_refused_and_told_why(text: str, message: str) -> None:
    assert errors_of(text)[0] == message


def test_a_loop_variable_that_becomes_a_layer_later_is_refused_though_it_was_a_value_before() -> None:
    text = "b = x\nfor i in range(2):\n  y = b.half()\n  for b in blocks:\n    x = y\nreturn x"
    assert errors_of(text) == ["'b' would be a layer in one place and a value in another. Take another name."]


def test_all_errors_of_a_text_are_reported_together() -> None:
    assert len(errors_of("a = relu\nb = x.data\nreturn zz")) == 3


def test_loops_nest_to_a_limit() -> None:
    def nested(depth: int) -> str:
        lines = ["  " * i + f"for i{i} in range(1):" for i in range(depth)]
        return "\n".join([*lines, "  " * depth + "x = x + 1", "return x"])

    assert torch.equal(forward(nested(10))(OWNER, X, Y), X + 1)
    assert errors_of(nested(11)) == ["loops are nested more than 10 deep. "]


def test_sums_of_many_terms_are_read_up_to_the_limit_of_depth() -> None:
    assert same(forward("x" + " + x" * 90)(OWNER, torch.ones(1), Y), torch.ones(1) * 91)
    assert "nested more than 100 deep" in errors_of("x" + " + x" * 200)[0]


# --- positions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("zz", 1, 1),
        ("=zz", 1, 2),
        ("= zz", 1, 3),
        ("=  x + zz", 1, 8),
        ("  x + zz", 1, 7),
        ("einsum('é€𝄞', zz)", 1, 15),
        ("=einsum('é', zz)", 1, 14),
        ("a = x\nreturn zz", 2, 8),
        ("  a = x\n  return zz", 2, 10),
        ("=a = x\nreturn zz", 2, 8),
        ("\n  a = {'é': x}\n\n  return {'é': zz}", 4, 16),
        ("= x +", 1, 6),
        ("a = x\nb = = 2", 2, 5),
        ("  a = x\n  b = = 2", 2, 7),
        ("a = x\nb = \\", 2, 5),
        ("fc(x, out=1, **x)", 1, 16),
        ("x.foo.shape", 1, 1),
    ],
)
def test_an_error_stands_at_its_line_and_column_of_the_raw_text(text: str, line: int, column: int) -> None:
    error = compiler.translate(text, NAMES, "forward").errors[0]
    assert (error.line, error.column) == (line, column)


def test_two_equals_signs_are_not_one() -> None:
    with pytest.raises(TextError) as caught:
        syntax.parse_expression("==x")
    assert (caught.value.what, caught.value.line, caught.value.column) == (
        "cannot read this text: invalid syntax: ==x",
        1,
        2,
    )


# --- what a text reads ---------------------------------------------------------------------------------------------


def reads_of(text: str) -> list[Read]:
    translation = compiler.translate(text, NAMES, "forward")
    assert translation.errors == ()
    return list(translation.reads)


def test_dotted_names_are_recorded_with_their_place() -> None:
    assert reads_of("enc.norm(x) + fc.weight") == [
        Read(("enc", "norm"), False, 1, 1),
        Read(("fc", "weight"), True, 1, 15),
    ]
    assert reads_of("enc.layers[0].weight.shape") == [
        Read(("enc", "layers"), False, 1, 1),
        Read(("enc", "layers", 0, "weight"), True, 1, 1),
    ]
    assert reads_of("heads['a'].bias") == [Read(("heads", "a", "bias"), True, 1, 1)]
    assert reads_of("fc(x)") == []


def test_a_chain_that_is_called_means_a_child() -> None:
    assert reads_of("enc.embed.weight(x)") == [Read(("enc", "embed", "weight"), False, 1, 1)]
    with pytest.raises(KeyError, match="weight"):
        forward("enc.embed.weight(x)")(OWNER, X, Y)


def test_the_args_that_a_text_uses_are_known() -> None:
    translation = compiler.translate("x * depth + len(widths)", NAMES, "forward")
    assert translation.names == {"depth", "widths"}


# --- fills ---------------------------------------------------------------------------------------------------------


def fill(text: str, value: Any, **values: Any) -> Any:
    drawn: list[Any] = []

    def draw(name: str, *args: Any, **options: Any) -> torch.Tensor:
        drawn.append((name, args, options))
        return torch.full((2, 2), 5.0)

    function = forward(text, FILL, {"std": 0.5, "widths": [1, 2], **values})
    return function(None, draw, (2, 2), 2, 2, value), drawn


def test_names_of_fills_draw() -> None:
    result, drawn = fill("w = uniform(-10, 10)\nreturn w * (abs(w) >= 5) + normal(std=std / fan_in)", None)
    assert drawn == [("uniform", (-10, 10), {}), ("normal", (), {"std": 0.25})]
    assert result.tolist() == [[10.0, 10.0], [10.0, 10.0]]


def test_a_fill_that_is_a_function_too_draws_when_it_is_called_without_positions() -> None:
    assert fill("ones()", None)[1] == [("ones", (), {})]
    result, drawn = fill("ones(2, 2)", None)
    assert (result.tolist(), drawn) == ([[1.0, 1.0], [1.0, 1.0]], [])


def test_elements_are_assigned_in_a_fill() -> None:
    value = torch.zeros(2, 2)
    result, _ = fill("w = value + 1\nw[0, 0] = 42\nw[1] = value[0]\nreturn w", value)
    assert result.tolist() == [[42.0, 1.0], [0.0, 0.0]]
    assert value.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_an_arg_cannot_be_changed_through_another_name() -> None:
    widths = [1, 2]
    with pytest.raises(TypeError, match="elements of a tensor are assigned, not of list"):
        fill("w = widths\nw[0] = 9\nreturn value", torch.zeros(1), widths=widths)
    assert widths == [1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "value[0] = 1\nreturn value",
            "'value' is not a tensor of this text. Write w = value + 0 and assign to w[...].",
        ),
        (
            "widths[0] = 1\nreturn value",
            "'widths' is not a tensor of this text. Write w = value + 0 and assign to w[...].",
        ),
        ("value = 1\nreturn value", "'value' belongs to the text and cannot be assigned. Take another name."),
        ("std = 1\nreturn std", "'std' belongs to the block and cannot be assigned. Take another name."),
        ("training", "there is no value 'training'. Known: fan_in, fan_out, shape, value, std, widths."),
        ("normal", "'normal' is a function. Call it: normal(...)."),
        ("w = normal()\nw.T[0] = 1\nreturn w", "elements cannot be assigned here. Use where(...), cat(...) or a mask."),
    ],
)
def test_a_fill_is_refused_and_told_why(text: str, message: str) -> None:
    assert errors_of(text, FILL)[0] == message


# --- loops ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "while True:\n  x = x + 1\nreturn x",
            "this loop did not end after 1,000 steps: while True: (line 1 of Net.forward",
        ),
        (
            "x = y\nfor i in range(1001):\n  x = x + 1\nreturn x",
            "this loop did not end after 1,000 steps: for i in range(1001): (line 2 of Net.forward",
        ),
        (
            "for i in range(9 ** 40):\n  x = x + 1\nreturn x",
            "this loop did not end after 1,000 steps: for i in range(9 ** 40): (line 1 of Net.forward",
        ),
    ],
)
def test_a_loop_without_an_end_is_stopped_and_named(text: str, message: str) -> None:
    with pytest.raises(LoopError) as caught:
        forward(text, max_steps=1_000)(OWNER, X, Y)
    shown = str(caught.value)
    assert shown.startswith(message)
    assert str(pickle.loads(pickle.dumps(caught.value))) == shown


def test_a_loop_of_exactly_the_greatest_number_of_steps_ends() -> None:
    text = "n = 0\nwhile n < 7:\n  n += 1\nfor i in range(7):\n  n += 1\nreturn n"
    assert forward(text, max_steps=7)(OWNER, X, Y) == 14


def test_each_run_of_an_inner_loop_is_counted_by_itself() -> None:
    text = "n = 0\nfor i in range(5):\n  j = 0\n  while j < 5:\n    j += 1\n    n += 1\nreturn n"
    assert forward(text, max_steps=5)(OWNER, X, Y) == 25


# --- the dry run ---------------------------------------------------------------------------------------------------


class Recorder:
    """Answers every condition, and keeps what it was asked."""

    def __init__(self, *answers: bool) -> None:
        self.answers, self.calls = list(answers), list[tuple[Any, ...]]()

    def branch(self, owner: Any, site: str, value: Any) -> bool:
        self.calls.append(("branch", owner is OWNER, site, value))
        return self.answers.pop(0)

    def turn(self, owner: Any, site: str, value: Any) -> bool:
        self.calls.append(("turn", owner is OWNER, site, value))
        return self.answers.pop(0)

    def step(self, owner: Any, site: str) -> None:
        pass

    def enter(self, owner: Any, site: str, tests: tuple[str, ...], **values: Any) -> None:
        self.calls.append(("enter", owner is OWNER, site, tests, values))

    def merge(self, owner: Any, site: str, **values: Any) -> None:
        self.calls.append(("merge", owner is OWNER, site, values))


def watched(text: str, recorder: Recorder) -> Any:
    translation = compiler.translate(text, NAMES, "forward")
    assert translation.watched is not None
    return compiler.link(translation.watched, VALUES, 100, (), recorder)(OWNER, 1, 2)


def test_the_watched_code_reports_every_condition_in_order() -> None:
    recorder = Recorder(True, True, False)
    text = "if x > 5:\n  a = 10\nelse:\n  a = 20\nwhile a < 0:\n  a += 1\nreturn a"
    assert watched(text, recorder) == 11
    assert recorder.calls == [
        ("branch", True, "1:3", False),
        ("merge", True, "1:0", {"a": 10}),
        ("enter", True, "5:0", ("5:6",), {"a": 10}),
        ("turn", True, "5:6", False),
        ("turn", True, "5:6", False),
        ("merge", True, "5:0", {"a": 11}),
    ]


def test_each_part_of_a_condition_is_reported_and_a_layer_is_not() -> None:
    recorder = Recorder(True, False, True)
    assert watched("x if fc and x > 0 and not y > 0 else (1 if y else 2)", recorder) == 1
    assert [call[3] for call in recorder.calls] == [True, True]


def test_a_branch_that_returns_has_nothing_to_merge() -> None:
    recorder = Recorder(False)
    assert watched("if x:\n  return 1\nelse:\n  a = 2\nreturn a", recorder) == 2
    assert [call[0] for call in recorder.calls] == ["branch"]


def test_a_text_without_conditions_has_no_watched_code() -> None:
    assert compiler.translate("fc(x) if fc else x", NAMES, "forward").watched is None


# --- the compiled function -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["zeros(2)", "arange(3)", "tensor([1, 2])", "randn(2)", "full((2,), 1.0)"])
def test_created_tensors_are_on_the_device_of_the_first_tensor_input(call: str) -> None:
    function = forward(call)
    meta = torch.zeros(1, device="meta")
    assert function(OWNER, meta, X).device.type == "meta"
    assert function(OWNER, X, meta).device.type == "cpu"
    assert function(OWNER, (1, {"a": [meta]}), X).device.type == "meta"
    assert function(OWNER, 1, 2).device.type == "cpu"
    assert function(copy.deepcopy(OWNER).to("meta"), 1, 2).device.type == "meta"


HALF = torch.zeros(1, dtype=torch.bfloat16)


@pytest.mark.parametrize(
    "call",
    [
        *("zeros(2)", "ones(2)", "eye(2)", "rand(2)", "randn(2)", "linspace(0, 1, 3)", "torch.zeros(2)"),
        *("arange(3.0)", "arange(0, 2, step=0.5)", "full((2,), 1.5)", "full((2,), fill_value=float('inf'))"),
        *("tensor(0.5)", "tensor([[1, 2], [3, 4.0]])", "arange(x.shape[0] / 2)"),
    ],
)
def test_created_floating_tensors_have_the_dtype_of_the_first_floating_input(call: str) -> None:
    function, whole = forward(call), torch.arange(2)
    assert function(OWNER, HALF, X).dtype == torch.bfloat16
    assert function(OWNER, X, HALF).dtype == torch.float32
    assert function(OWNER, whole, X.double()).dtype == torch.float64
    assert function(copy.deepcopy(OWNER).half(), whole, whole).dtype == torch.float16
    with torch.autocast("cpu", torch.bfloat16):
        assert function(OWNER, HALF, X).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("call", "dtype"),
    [
        *((each, torch.int64) for each in ("arange(3)", "full((2,), 1)", "tensor([1, 2])", "randint(0, 3, (2,))")),
        *(("tensor([True])", torch.bool), ("zeros(2, dtype='float64')", torch.float64), ("x + zeros(1)", HALF.dtype)),
        ("full((2,), x.sum())", HALF.dtype),
        *(("arange(2.0, dtype='int32')", torch.int32), ("randperm(3)", torch.int64)),
    ],
)
def test_whole_numbers_and_written_dtypes_stay(call: str, dtype: torch.dtype) -> None:
    assert forward(call)(OWNER, HALF, X).dtype == dtype


def test_without_floating_tensors_the_dtype_is_torchs_default() -> None:
    assert forward("zeros(2)")(None, 1, 2).dtype == torch.float32


def test_a_text_is_translated_once_wherever_it_stands():
    seen = [Names(inputs=("x",), values=frozenset(each), outer=frozenset(each)) for each in ({"a"}, {"a", "b"})]
    one, other = (compiler.translate("a * x", each, "Net.forward") for each in seen)
    assert one is other
    errors = [compiler.translate("bb * x", each, "Net.forward").errors[0] for each in seen]
    assert [each.hint for each in errors] == ["Known: x, a.", "Did you mean 'b'?"]


def test_without_a_loop_the_function_is_captured_whole_by_torch_compile() -> None:
    text = "a = relu(fc(x)) + scale * depth\na += arange(4)\nreturn {'a': a, 'b': enc.layers[0](a).view(-1)}"
    function = forward(text)
    compiled = torch.compile(lambda x, y: function(OWNER, x, y), backend="eager", fullgraph=True)
    assert same(compiled(X, Y), function(OWNER, X, Y))


def test_a_loop_over_layers_is_captured_whole_too() -> None:
    function = forward("for b in blocks:\n  x = x + b.fc(x)\nfor i in range(depth):\n  x = x * 2\nreturn x")
    compiled = torch.compile(lambda x, y: function(OWNER, x, y), backend="eager", fullgraph=True)
    assert same(compiled(X, Y), function(OWNER, X, Y))


def test_a_traceback_shows_the_line_of_the_text() -> None:
    function = forward("= cat([x, y], dim=5)")
    with pytest.raises(IndexError) as caught:
        function(OWNER, X, Y)
    assert "    = cat([x, y], dim=5)\n" in "".join(traceback.format_exception(caught.value))
    with pytest.raises(IndexError) as caught:
        forward("a = x\nreturn a.mean(9)")(OWNER, X, Y)
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (frame.lineno, frame.name, frame.line) == (2, "forward", "return a.mean(9)")


def test_a_function_holds_only_what_its_text_uses() -> None:
    function = forward("relu(x) * depth")
    assert set(function.__globals__) == {"__builtins__", "_call_relu", "depth"}


def test_default_values_stand_for_missing_inputs() -> None:
    translation = compiler.translate("x * y", NAMES, "forward", (2,))
    assert translation.code is not None
    assert compiler.link(translation.code, {}, 1, (2,))(OWNER, 4) == 8


def test_a_registered_function_is_seen_by_a_text_that_failed_before() -> None:
    assert errors_of("twice_of(x)") != []
    register_function(lambda value: value * 2, name="twice_of")
    assert torch.equal(forward("twice_of(x)")(OWNER, X, Y), X * 2)


# --- formulas ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    """
    width // 4
    2 * width + 1
    width ** 2 - 3 ** depth
    -width % 7
    max(width, 300) + min([1, 2])
    round(width * 0.3)
    [width, width // 2]
    widths + [1]
    widths[-1]
    width if depth > 2 else 0
    depth > 2 and width < 3
    not depth
    name
    sum(widths) / len(widths)
    {'a': (width, None)}
    int(width / 3)
    name == 'relu' and name != 'gelu'
    name in ('gelu', 'relu')
    name not in ['gelu', 'relu']
    [8 * 2 ** k for k in range(depth)]
    [k for k in range(9, 0, -2) if k > 3 if k != 7]
    [[a * b for a in widths] for b in widths]
    [a * b for a in widths for b in range(a) if b]
    [a - b for a, b in zip(widths, widths[1:])]
    [k * w for k, w in enumerate(widths, depth)]
    [k * (a - b) for k, (a, b) in enumerate(zip(widths, reversed(widths)))]
    [b for a, (b, c) in [(1, (2, 3)), (4, (5, 6))]]
    [k for k in range(2)] + [k for k in widths]
    sum([w for w in widths if w > depth])
    widths[::-1] + widths[:1]
    widths == [4, 5] or widths < [4]
    sum([[1], widths], [])
    [len for len in range(len(widths))]
    """.strip().splitlines(),
)
def test_a_formula_has_pythons_value(text: str) -> None:
    values = {"width": 256, "depth": 3, "widths": [4, 5], "name": "relu"}
    text = text.strip()
    assert same(formulas.evaluate(syntax.parse_expression("=" + text), values), eval(text, dict(values)))


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("=wdth", "there is no value 'wdth'", 2),
        ("=training", "there is no value 'training'", 2),
        ("=relu(width)", "'relu' makes a tensor and has no place in a formula", 2),
        ("=width.real", "'.real' has no place in a formula", 2),
        ("=name.split()", "'.split' has no place in a formula", 2),
        ("= 1 / 0", "1 / 0 cannot be computed: division by zero", 3),
        ("=width ** width ** width", "width ** width ** width cannot be computed: the power is too large", 2),
        ("=2 ** 63", "2 ** 63 is too large", 2),
        ("=[2 ** 63]", "[2 ** 63] is too large", 2),
        ("=1e300 * 1e300", "1e+300 * 1e+300 is inf, not a finite number", 2),
        ("=(0 - 8) ** 0.5", "(0 - 8) ** 0.5 is complex, not a number", 2),
        ("=name * 1000000000", "name * 1000000000 cannot be computed: only numbers are multiplied", 2),
        ("=[0] * 1000000000", "[0] * 1000000000 cannot be computed: only numbers are multiplied", 2),
        ("=name % 5", "name % 5 cannot be computed: only numbers have a remainder", 2),
        ("=max(name, 'a')", "the text 'a' has no place here", 12),
        ("=name < 'a'", "the text 'a' has no place here", 9),
        ("=name + 'a' == name", "the text 'a' has no place here", 9),
        ("=(k for k in long)", "a comprehension has no place here", 2),
        ("={k for k in long}", "a comprehension has no place here", 2),
        ("={'a': k for k in long}", "a comprehension has no place here", 2),
        ("=[k async for k in long]", "async has no place here", 20),
        ("=[k for k in long] + [k]", "there is no value 'k'", 23),
        ("=[k for k in j for j in long]", "there is no value 'j'", 14),
        ("=[k for k[0] in long]", "the loop variable must be one name", 9),
        ("=[k for a, b in range(3)]", "the loop variable must be one name", 9),
        ("=[k for a in zip(long)]", "zip gives an item of each", 14),
        ("=range(3)", "range(...) stands in for only", 2),
        ("=zip(long, long)", "zip(...) stands in for only", 2),
        ("=[Linear(k, k) for k in long]", "'Linear' is a layer, not a value", 3),
        ("=[k for k in width]", "[k for k in width] cannot be computed: 'int' object is not iterable", 2),
        ("=[0 for k in range(10 ** 18)]", "[0 for k in range(10 ** 18)] has more than 10,000 items", 2),
        (
            "=[2 ** 2 ** k for k in range(20)]",
            "[2 ** 2 ** k for k in range(20)] cannot be computed: the power is too large",
            2,
        ),
        ("=[2 ** 2 ** k for k in range(10)]", "[2 ** 2 ** k for k in range(10)] is too large", 2),
        ("=[laugh, laugh]", "[laugh, laugh] has more than 10,000 items", 2),
        ("=long + long", "long + long has more than 10,000 items", 2),
    ],
)
def test_a_formula_is_refused_and_told_why(text: str, message: str, column: int) -> None:
    laugh: list[Any] = [0] * 10
    for _ in range(30):
        laugh = [laugh, laugh]
    values = {"width": 256, "name": "%99999999999d", "laugh": laugh, "long": [0] * 9_000}
    with pytest.raises(TextError) as caught:
        formulas.evaluate(syntax.parse_expression(text), values)
    assert (caught.value.what, caught.value.line, caught.value.column) == (message, 1, column)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("=widths + [4]", (8, 16, 4)),
        ("=[4] + widths", (4, 8, 16)),
        ("=widths + widths", (8, 16, 8, 16)),
        ("=[4] + [5]", [4, 5]),
        ("=widths + [w * 2 for w in widths]", (8, 16, 16, 32)),
        ("=sum([[1], widths], [])", (1, 8, 16)),
        ("=widths == [8, 16]", True),
        ("=[8, 16] != widths", False),
        ("=[8, [16]] == (8, (16,))", True),
        ("=widths in [[8, 16], [4]]", True),
        ("=widths < [9]", True),
    ],
)
def test_the_lists_of_args_are_tuples_and_go_with_those_of_a_formula(text: str, expected: Any) -> None:
    assert same(formulas.evaluate(syntax.parse_expression(text), {"widths": (8, 16)}), expected)


@pytest.mark.parametrize(
    "text",
    [
        "=[0 for a in range(9999) for b in range(9999) if b < 0]",
        "=[sum(long) for k in range(9999)]",
        "=[sum(a) for a in [[k for k in range(5000)]] for b in range(5000)]",
        "=[sum([sum([c for c in range(300)]) for b in range(300)]) for a in range(300)]",
    ],
)
def test_the_turns_of_a_comprehension_are_counted_with_all_that_they_read(text: str) -> None:
    with pytest.raises(EndlessError, match="all formulas together take more than 5,000,000 operations"):
        formulas.evaluate(syntax.parse_expression(text), {"long": [0] * 9_000})


def test_long_lists_are_computed_from_each_other() -> None:
    tree = syntax.parse_expression("=[2 * k for k in long]")
    assert same(formulas.evaluate(tree, {"long": (1,) * 9_000}), [2] * 9_000)


def test_the_names_of_a_comprehension_are_none_that_a_formula_reads() -> None:
    tree = syntax.parse_expression("=[a * k for k, w in enumerate(b) if w > c] + [d]")
    assert [name.id for name in syntax.formula_names(tree)] == ["a", "b", "c", "d"]


def test_an_arg_is_compared_with_texts_and_what_else_a_text_has_is_not() -> None:
    values = {**VALUES, "optional": "pre"}
    assert forward("optional == 'pre' and optional not in ('post', 'both')", values=values)(OWNER, X, Y) is True
    assert forward("[optional != 'float32', widths[0] == 'bool']", values=values)(OWNER, X, Y) == [True, False]
    hint = "Texts are arguments (mode='nearest'), keys of dicts, and what an arg is compared with."
    assert errors_of("x.dtype == 'float32'") == [f"the text 'float32' has no place here. {hint}"]
    assert errors_of("optional < 'pre'") == [f"the text 'pre' has no place here. {hint}"]


def test_a_formulas_names_come_in_the_order_of_the_text() -> None:
    tree = syntax.parse_expression("=max(a + b, c * a) if d else e[f]")
    assert [name.id for name in syntax.formula_names(tree)] == ["a", "b", "c", "a", "d", "e", "f"]


def test_check_formula_reports_without_computing() -> None:
    tree = syntax.parse_expression("=wdth + depht + 1 / 0")
    own = syntax.parse_expression("=[width for width in range(2)]")
    told = "'width' belongs to the block and cannot be assigned"
    assert [error.what for error in formulas.check_formula(own, frozenset({"width"}))] == [told]
    errors = formulas.check_formula(tree, frozenset({"width", "depth"}))
    assert [(error.what, error.hint, error.column) for error in errors] == [
        ("there is no value 'wdth'", "Did you mean 'width'?", 2),
        ("there is no value 'depht'", "Did you mean 'depth'?", 9),
    ]


def test_a_text_that_yaml_cut_in_two_is_seen() -> None:
    assert [syntax.unbalanced(text) for text in ("f(a", "b)", "f(a, [b])", "{")] == [True, True, False, True]


# --- any text ------------------------------------------------------------------------------------------------------

ATOMS = st.sampled_from("a b 0 1 2 -3 0.5 True None widths 'text' ... c relu _ __import__ training".split())


def _larger(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from("+ - * / // % ** @ & | ^ << == < >= is in and or".split())
    functions = st.sampled_from("max min abs sum len int float round sqrt eval open getattr".split())
    attributes = st.sampled_from("shape T __class__ real split real format sort pop item".split())
    return st.one_of(
        st.builds("({} {} {})".format, parts, operators, parts),
        st.builds("({} if {} else {})".format, parts, parts, parts),
        st.builds("{}({})".format, functions, parts),
        st.builds("{}({}, {})".format, functions, parts, parts),
        st.builds("({}).{}".format, parts, attributes),
        st.builds("({}).{}()".format, parts, attributes),
        st.builds("[{}, {}]".format, parts, parts),
        st.builds("{}[{}]".format, parts, parts),
        st.builds("(not {})".format, parts),
        st.builds("-{}".format, parts),
        st.builds("[{} for c in {} if {}]".format, parts, parts, parts),
        st.builds("[{} for c, d in zip({}, {})]".format, parts, parts, parts),
        st.builds("[{} for c in range({})]".format, parts, parts),
    )


def _number(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """What computes a value more often than not."""
    return st.one_of(
        st.builds("({} {} {})".format, parts, st.sampled_from("+ - * / // % < == >= and or".split()), parts),
        st.builds("({} if {} else {})".format, parts, parts, parts),
        st.builds("{}({}, {})".format, st.sampled_from(["max", "min"]), parts, parts),
        st.builds("{}({})".format, st.sampled_from(["abs", "int", "float", "round", "-", "not "]), parts),
        st.builds("[{}, {}][{} > 1]".format, parts, parts, parts),
        st.builds("({} < {} <= {})".format, parts, parts, parts),
        st.builds("({} ** 2)".format, parts),
    )


NUMBERS = st.recursive(
    st.sampled_from("a b 1 2 3 0.5 -3 widths[0] len(widths) sum(widths)".split()), _number, max_leaves=8
)
TEXTS = NUMBERS | st.recursive(ATOMS, _larger, max_leaves=8) | st.text(max_size=20)


@settings(max_examples=400, deadline=None)
@given(text=TEXTS)
@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_any_formula_is_refused_or_has_pythons_value(text: str) -> None:
    values: dict[str, Any] = {"a": 3, "b": 0.25, "widths": [4, 5]}
    try:
        result = formulas.evaluate(syntax.parse_expression(text), values)
    except TextError:
        return
    scope = {"sqrt": math.sqrt, **copy.deepcopy(values)}
    assert same(result, eval(text.strip().removeprefix("=").strip(), scope))
    assert values == {"a": 3, "b": 0.25, "widths": [4, 5]}


@settings(max_examples=400, deadline=None)
@given(text=TEXTS)
@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_any_forward_is_refused_or_fails_or_has_pythons_value(text: str) -> None:
    names = Names(inputs=("a", "b"), values=frozenset({"widths"}), training=False)
    translation = compiler.translate(text, names, "forward")
    if translation.errors:
        assert translation.code is None
        assert all(error.what for error in translation.errors)
        return
    assert translation.code is not None
    function = compiler.link(translation.code, {"widths": [4, 5]}, 10)
    scope = {"sqrt": math.sqrt, "a": 3, "b": 0.25, "widths": [4, 5]}
    try:
        expected = eval(text.strip().removeprefix("=").strip(), scope)
    except Exception:
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it is that Python cannot do either
            function(None, 3, 0.25)
        return
    try:
        result = function(None, 3, 0.25)
    except (ValueError, TypeError) as error:
        assert str(error).startswith(BOUNDS) or "must be Tensor" in str(error)
    else:
        assert same(result, expected)


BOUNDS = ("only numbers are multiplied", "only numbers have a remainder", "the power is too large", "a value has more")
"""What the language refuses where Python goes on; and a list has torch's methods, which take tensors."""
