"""What two models differ in, in the words of the model: layers, arguments, shapes, sharing, texts, fills, and weights.

A draft becomes a `Snapshot` (`snapshots`), a plain value in which it does not matter how a config says something
(`canonical`). `similar` and `alignment` find which module of one is which of the other, `pairing` pairs all of them,
`changes` and `tensor_changes` say what is not alike, `carried` what that means for weights. `difference` is all of it
on one page; `written` and `page` show it.

>>> from modelzoo.diff.canonical import value
>>> value([3.0, 3]), value((1, 2))
('(3, 3)', '(1, 2)')
"""
