"""A planned model as plain PyTorch source, the way out of the config.

In comes a `Draft` with the plain data it was made from; out goes Python, always by way of a syntax tree: a text of a
config can only become a constant of it, a name only after it was checked, an expression only by translating the tree
of the small language. Read `model` first, which says the whole way; then `classes`, which writes a block as a class,
`expressions`, `sequences` and `recipes`, which write a layer where it stands, `tensors`, `texts` and `init_weights`.
`occurrences` knows what became of each node, `needs` what a block uses, `naming` and `trees` are the pieces, `gate`
looks once more at what was put together, and `layout` makes text of it.

>>> from modelzoo.export.source.model import source
>>> print(source({"layers": ["Linear(4, 2)"]}).splitlines()[-1])
        super().__init__(nn.Linear(4, 2))
"""
