"""The picture of a model as a plain value: nodes, the edges between them with shapes, and clusters around them."""

from __future__ import annotations

import ast
from dataclasses import dataclass

SIGNS = {ast.Add: "+", ast.Mult: "\N{MULTIPLICATION SIGN}"}
"""Operators that are drawn as signs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One thing that data goes through.

    Attributes:
        name: unique; of a module its first dotted name.
        kind: "input", "output", "module", "function" (an expression of a text), "parameter", "constant", "condition"
            (an `if`) or "loop" (the head of a `while` or `for`).
        label: what is shown.
        detail: a module's call, a tensor's shape.
        note: which tensors of it are tied to others.
        parent: the name of the cluster around it; "" for none.
        calls: how often the forward texts mention it; a loop's body counts once.
    """

    name: str
    kind: str
    label: str
    detail: str = ""
    note: str = ""
    parent: str = ""
    calls: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A block, or the body of a loop, with what lies in it.

    Attributes:
        name: unique; of a block its first dotted name.
        kind: "block" or "loop".
        label: what is shown; `12 x` before it says that one of 12 equal copies is drawn.
        parent: the cluster around it; "" for none.
    """

    name: str
    kind: str
    label: str
    parent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """Data that goes from one node to another.

    Attributes:
        source, target: names of nodes.
        label: its shape; `#2` before it is the second call of a layer that is called several times.
        kind: "data", "back" (to the next turn of a loop) or "control" (a condition to what it decides).
    """

    source: str
    target: str
    label: str = ""
    kind: str = "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The picture of a model, without positions."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    clusters: tuple[Cluster, ...] = ()
