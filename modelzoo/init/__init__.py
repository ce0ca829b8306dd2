"""Who fills each tensor.

In come a `Skeleton` and the rules; out goes the ledger, an entry for each unique tensor with its homes and the fills
that count: torch's defaults, the tensor's own fill, the rules from top to bottom, `_init_`. Then it is carried out,
each tensor once, from streams keyed by its name.

>>> import modelzoo
>>> model = {"layers": ["Linear(4, 2)"]}
>>> [each.rule for each in modelzoo.plan(model, {"w": {"param": "weight", "fill": 0}}).tensors]
['init.w', 'torch']
"""
