"""The picture of a data flow as mermaid text, which READMEs and many editors show."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelzoo import files
from modelzoo.escapes import printable
from modelzoo.export.graph.dataflow import drawn
from modelzoo.export.graph.graph import Edge, Graph, Node

if TYPE_CHECKING:
    from torch import nn

    from modelzoo.config.config import Config
    from modelzoo.plans.draft import Draft

SHAPES = {
    "input": '(["{}"])',
    "output": '(["{}"])',
    "module": '["{}"]',
    "function": '("{}")',
    "parameter": '[/"{}"/]',
    "constant": '[("{}")]',
    "condition": '{{"{}"}}',
    "loop": '{{{{"{}"}}}}',
}
CODES = str.maketrans({'"': "#quot;", "<": "#lt;", "&": "#amp;", "`": "#96;"})
ARROWS = {"data": "-->", "back": "-.->", "control": "-.->"}


def text(graph: Graph) -> str:
    """A `flowchart`: blocks as subgraphs, shapes on the edges.

    >>> from modelzoo.export.graph.dataflow import graph
    >>> print(text(graph({"inputs": {"x": [2, 4]}, "layers": {"a": "Linear(4, 8)", "act": "ReLU"}})), end="")
    flowchart TD
      n0(["x"])
      n1["a<br>Linear(4, 8)"]
      n2["act<br>ReLU"]
      n3(["output"])
      n0 -->|"[2, 4]"| n1
      n1 -->|"[2, 8]"| n2
      n2 -->|"[2, 8]"| n3
    """
    names = {node.name: f"n{index}" for index, node in enumerate(graph.nodes)}
    edges = [_edge(edge, names) for edge in graph.edges]
    return "\n".join(["flowchart TD", *_inside(graph, "", names, "  "), *edges]) + "\n"


def _inside(graph: Graph, parent: str, names: dict[str, str], indent: str) -> Iterator[str]:
    for node in graph.nodes:
        if node.parent == parent:
            yield f"{indent}{names[node.name]}{_node(node)}"
    for index, cluster in enumerate(graph.clusters):
        if cluster.parent == parent:
            yield f'{indent}subgraph c{index}["{_quoted(cluster.label)}"]'
            yield from _inside(graph, cluster.name, names, indent + "  ")
            yield f"{indent}end"


def _node(node: Node) -> str:
    parts = (node.label, node.detail, node.note)
    return SHAPES[node.kind].format("<br>".join(_quoted(each) for each in parts if each))


def _edge(edge: Edge, names: dict[str, str]) -> str:
    label = f'|"{_quoted(edge.label)}"|' if edge.label else ""
    return f"  {names[edge.source]} {ARROWS[edge.kind]}{label} {names[edge.target]}"


def _quoted(text: str) -> str:
    """Characters that mean something to mermaid between quotes, as it writes them."""
    text = printable(text.replace("\n", " "))
    text = text.replace("#", "#35;" if ";" in text else "#").translate(CODES)
    return text.replace("%%", "#37;#37;")  # begins a directive, even here


def export(
    draft: Draft, model: nn.Module, given: Config, directory: pathlib.Path, signals: object = None
) -> pathlib.Path:
    """Writes `graph.mmd` of a job; returns its path."""
    path = directory / "graph.mmd"
    files.write_text(path, text(drawn(draft)))
    return path
