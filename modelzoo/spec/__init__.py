"""What a config says, then what is to be constructed.

In comes plain data. `parser` reads it to a `Block`, frozen nodes in which every text was read; `resolve` follows it
with the values of the args: formulas are computed, references followed, copies made. Out goes an `Instance`, a tree in
which the same module is the same object.

Read in this order: `nodes` (what a config says), `visible` (what its names mean), `parser` (whatever may stand where a
layer stands) and what it is made of: `keys`, `literals`, `calls`, `rules`, `tensors`, `blocks`, `hiding`. Then
`instances` (what is to be constructed), `provenance` (what became of each node), `resolve` and what it is made of:
`evaluation`, `recipes`, `given`, `layers`, `references`, `copies`, `arrangement`.

>>> from modelzoo.errors import Problems
>>> from modelzoo.spec import parser, resolve
>>> block = parser.parse({"args": {"n": 4}, "layers": ["Linear(n, n)"]})
>>> resolve.resolve(block, Problems()).children["0"]
Linear(in_features=4, out_features=4)
"""
