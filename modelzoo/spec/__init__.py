"""What a config says, then what is to be constructed.

In comes plain data. `spec` parses it to a `Block`, frozen nodes in which every text was read; `resolve` follows it with
the values of the args: formulas are computed, references followed, copies made. Out goes an `Instance`, a tree in which
the same module is the same object.

>>> from modelzoo.errors import Problems
>>> from modelzoo.spec import resolve, spec
>>> resolve.resolve(spec.parse({"args": {"n": 4}, "layers": ["Linear(n, n)"]}), Problems()).children["0"]
Linear(in_features=4, out_features=4)
"""
