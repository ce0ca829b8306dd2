"""The data flow of a model as a picture.

In comes a draft; `flow` reads the texts and follows what modules return, and gives a `graph`, plain nodes and edges;
`drawing` lays it out as SVG, `mermaid` writes it as text.

>>> from modelzoo.export.graph import graph
>>> graph.Graph.__name__
'Graph'
"""
