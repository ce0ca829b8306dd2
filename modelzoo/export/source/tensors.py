"""A block's own parameters and buffers, filled as it says."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from modelzoo.catalog import fills, functions
from modelzoo.errors import Problems
from modelzoo.export.source import trees
from modelzoo.export.source.environment import Class, Env
from modelzoo.export.source.fills import fans, fill_call, fill_program, sample
from modelzoo.export.source.naming import fill_title
from modelzoo.export.source.values import FALSE, number, when
from modelzoo.init.ledger import weight_of
from modelzoo.spec import nodes
from modelzoo.spec.evaluation import Evaluation
from modelzoo.spec.instances import BlockInstance, Scope


def own(cls: Class, env: Env) -> list[ast.stmt]:
    """The statements that make a block's own tensors."""
    found: list[ast.stmt] = []
    for each in (*cls.block.tensors, *cls.block.buffers):
        asked = when(each.test, env)
        made: ast.expr = _NONE
        if asked is not FALSE:
            made = trees.chosen(asked, _made(each, each in cls.block.tensors, cls, env), _NONE)
        if each in cls.block.tensors:
            found.append(trees.assigned(trees.attribute(trees.name("self"), each.name), made))
            continue
        named = {} if each.persistent else {"persistent": _FALSE}
        given = [trees.literal(each.name), made]
        found.append(ast.Expr(trees.call(trees.dotted("self.register_buffer"), given, named)))
    return found


_FALSE, _NONE = ast.Constant(False), ast.Constant(None)


def _made(tensor: nodes.OwnTensor, parameter: bool, cls: Class, env: Env) -> ast.expr:
    """A tensor with its values."""
    made = _tensor(tensor, cls, env)
    if not parameter:
        return made
    floats = functions.DTYPES[tensor.dtype or "float32"].is_floating_point
    trains = _truth(tensor, cls, env) if floats else _FALSE
    return trees.call(trees.dotted("nn.Parameter"), [made], {} if trains is None else {"requires_grad": trains})


def _truth(tensor: nodes.OwnTensor, cls: Class, env: Env) -> ast.expr | None:
    """Whether a tensor is trained, as torch wants it: true or false, and no other number."""
    value, tree = tensor.trainable, when(tensor.trainable, env)
    if tree is None or not isinstance(value, nodes.Formula):
        return tree
    name = value.tree.id if isinstance(value.tree, ast.Name) else None
    known = name is not None and all(type(each.values.get(name)) is bool for each in _instances(tensor, cls, env))
    negated = isinstance(value.tree, ast.UnaryOp) and isinstance(value.tree.op, ast.Not)
    if known or negated or isinstance(value.tree, (ast.Compare, ast.Constant)):
        return tree
    return trees.call(trees.name("bool"), [tree])


def _instances(tensor: nodes.OwnTensor, cls: Class, env: Env) -> list[BlockInstance]:
    """The blocks, those that have the tensor first."""
    return sorted(env.source.seen.instances.get(cls.block, ()), key=lambda each: tensor.name not in each.shapes)


def _sizes(tensor: nodes.OwnTensor, instance: BlockInstance, env: Env) -> tuple[int, ...]:
    """The shape that a tensor of a block has, or would have."""
    if tensor.name in instance.shapes:
        return instance.shapes[tensor.name]
    scope = Scope(values=instance.values, origins={}, blocks=env.blocks)
    return Evaluation(Problems()).shape(tensor.shape, scope, tensor.key)


def _shape(tensor: nodes.OwnTensor, cls: Class, env: Env) -> list[ast.expr]:
    """The sizes of a tensor as arguments of `torch.zeros`."""
    sizes: list[ast.expr] = []
    made = _instances(tensor, cls, env)
    for each in _flat(tensor.shape):
        tree = number(each, env)
        if isinstance(each, nodes.Formula) and made:
            scope = Scope(values=made[0].values, origins={}, blocks=env.blocks)
            if isinstance(Evaluation(Problems()).value(each, scope, each.key), (list, tuple)):
                tree = ast.Starred(tree, ast.Load())
        sizes.append(tree)
    return sizes or [ast.Tuple([], ast.Load())]


def _flat(shape: Any) -> list[Any]:
    """Sizes, as a shape of lists counts them."""
    return [one for each in shape for one in (_flat(each) if isinstance(each, (list, tuple)) else [each])]


def _tensor(tensor: nodes.OwnTensor, cls: Class, env: Env) -> ast.expr:
    shape = _shape(tensor, cls, env)
    dtype = {} if tensor.dtype in (None, "float32") else {"dtype": _dtype(tensor)}
    kind = functions.DTYPES[tensor.dtype or "float32"]
    fill = tensor.fill
    fixed = _fixed(fill, shape, dtype, kind) if fill is not None and not fill.program else None
    if fixed is not None:
        return fixed
    if fill is None or (fill.key in env.source.erased and not _fits_all(fill)):
        return trees.call(trees.dotted("torch.empty"), shape, dtype)
    if fill.program:
        return _program(tensor, fill, cls, env, shape)
    inside = replace(env, names={**env.names, **fans(_empty(_sized(tensor, cls, env), cls, env))})
    given = {name: number(each, inside) for name, each in fill.arguments}
    empty = trees.call(trees.dotted("torch.empty"), shape)
    drawn = fill_call(fill.name, given, empty, env.source.imports, fill.key)
    if kind.is_floating_point and not dtype:
        return drawn
    if not (kind.is_floating_point or kind.is_complex):
        drawn = trees.quoted("DRAWN.floor()", DRAWN=drawn)
    return trees.quoted("DRAWN.to(DTYPE)", DRAWN=drawn, DTYPE=_dtype(tensor))


def _fits_all(fill: nodes.Fill) -> bool:
    """Whether a fill works on any shape."""
    found = fills.find_fill(fill.name)
    return found is not None and found.elementwise


def _dtype(tensor: nodes.OwnTensor) -> ast.expr:
    return trees.attribute(trees.name("torch"), tensor.dtype or "float32")


def _size(shape: list[ast.expr]) -> ast.expr:
    """A shape as one argument."""
    empty = len(shape) == 1 and isinstance(shape[0], ast.Tuple)
    return shape[0] if empty else ast.Tuple(shape, ast.Load())


def _fixed(fill: nodes.Fill, shape: list[ast.expr], dtype: dict[str, ast.expr], kind: torch.dtype) -> ast.expr | None:
    """A tensor of one number, or of torch's own distributions; None for any other fill."""
    given = dict(fill.arguments)
    if fill.name in ("zeros", "ones"):
        return trees.call(trees.attribute(trees.name("torch"), fill.name), shape, dtype)
    if fill.name == "constant" and not isinstance(given["value"], nodes.Formula):
        value = given["value"]
        if value in (0, 1):
            return trees.call(trees.dotted("torch.ones" if value else "torch.zeros"), shape, dtype)
        made = trees.literal(float(value) if kind.is_floating_point else value)
        return trees.call(trees.dotted("torch.full"), [_size(shape), made], dtype)
    if kind is torch.float32 and fill.name == "uniform" and (given["a"], given["b"]) == (0, 1):
        return trees.call(trees.dotted("torch.rand"), shape)
    if kind is torch.float32 and fill.name == "normal" and (given["mean"], given["std"]) == (0, 1):
        return trees.call(trees.dotted("torch.randn"), shape)
    return None


def _sized(tensor: nodes.OwnTensor, cls: Class, env: Env) -> nodes.OwnTensor:
    """The tensor that has its fans: of a bias the weight beside it."""
    beside = (each for each in cls.block.tensors if each.name == weight_of(tensor.name))
    vector = any(len(_sizes(tensor, each, env)) < 2 for each in _instances(tensor, cls, env))
    return next(beside, tensor) if vector else tensor


def _empty(tensor: nodes.OwnTensor, cls: Class, env: Env) -> ast.expr:
    return trees.call(trees.dotted("torch.empty"), _shape(tensor, cls, env))


def _program(tensor: nodes.OwnTensor, fill: nodes.Fill, cls: Class, env: Env, shape: list[ast.expr]) -> ast.expr:
    """A tensor that a text computes; its memory is its own, whatever the text makes a view of."""
    made = _instances(tensor, cls, env)
    title = fill_title(tensor.name)
    sized = _sized(tensor, cls, env)
    source, size = env.source, _size(shape)
    empty = _empty(sized, cls, env)
    tree = fill_program(fill, env.names, source.scope, source.imports, source.functions, title, size, empty)
    value = sample(fill, made[0].values, *(_sizes(each, made[0], env) for each in (tensor, sized))) if made else None
    if isinstance(value, Tensor):
        if tuple(value.shape) != _sizes(tensor, made[0], env):
            tree = trees.quoted("VALUE.expand(*SHAPE).clone()", VALUE=tree, SHAPE=shape)
        elif not value.is_contiguous():
            tree = trees.quoted("VALUE.contiguous()", VALUE=tree)
        wanted = functions.DTYPES[tensor.dtype or "float32"]
        return tree if value.dtype is wanted else trees.quoted("VALUE.to(DTYPE)", VALUE=tree, DTYPE=_dtype(tensor))
    named = {} if tensor.dtype is None and not isinstance(value, (bool, int)) else {"dtype": _dtype(tensor)}
    return trees.call(trees.dotted("torch.full"), [_size(shape), tree], named)
