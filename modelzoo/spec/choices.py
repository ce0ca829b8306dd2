"""A layer that a formula chooses, where a text says which: `ReLU if wide else GELU`, `acts[i]`."""

from __future__ import annotations

import ast


def is_choice(tree: ast.expr) -> bool:
    """Whether an expression chooses a layer, where one may stand.

    >>> [is_choice(ast.parse(text, mode="eval").body) for text in ("acts[0]", "None", "ReLU", "ReLU()")]
    [True, True, False, False]
    """
    return isinstance(tree, (ast.IfExp, ast.Subscript)) or (isinstance(tree, ast.Constant) and tree.value is None)


def with_arguments(tree: ast.expr) -> str:
    """What to write for a choice that has arguments beside it.

    >>> with_arguments(ast.parse("Linear if wide else Bilinear", mode="eval").body)
    'Write them in each call: Linear(...) if wide else Bilinear(...).'
    >>> with_arguments(ast.parse("kinds[0]", mode="eval").body)
    'Make it an arg, kind: =kinds[0], and write _target_: kind.'
    """
    if isinstance(tree, ast.IfExp):
        one, other = (
            ast.unparse(each.func if isinstance(each, ast.Call) else each) for each in (tree.body, tree.orelse)
        )
        return f"Write them in each call: {one}(...) if {ast.unparse(tree.test)} else {other}(...)."
    return f"Make it an arg, kind: ={ast.unparse(tree)}, and write _target_: kind."
