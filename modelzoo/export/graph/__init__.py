"""The data flow of a model as a picture.

In comes a draft. `dataflow` goes through its modules once, as the forward does, reads the texts of its blocks, and
gives a `Graph`: plain nodes, edges with shapes, and clusters around them. Out go two texts: `svg` draws it, `mermaid`
writes it for READMEs.

Read `graph` first, then `dataflow` and what it is made of: `shapes` (seen in one more dry run), `modules` (their names,
and which are equal), `canvas` (what is met), and for the texts `wires` (values on their way), `scope` (what names stand
for), `expressions` and `texts`. For a picture read `nesting` (frames in frames), `layers`, `layout`, then `svg`.

>>> from modelzoo.export.graph import dataflow, mermaid
>>> print(mermaid.text(dataflow.graph({"inputs": {"x": [2, 4]}, "layers": {"act": "ReLU"}})), end="")
flowchart TD
  n0(["x"])
  n1["act<br>ReLU"]
  n2(["output"])
  n0 -->|"[2, 4]"| n1
  n1 -->|"[2, 4]"| n2
"""
