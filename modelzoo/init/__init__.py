"""Who fills each tensor, and the filling.

In come a `Skeleton` and the rules; out goes the ledger, an entry for each unique tensor with its homes and the fills
that count: torch's defaults, the tensor's own fill, the rules from top to bottom, `_init_`. Then it is carried out,
each tensor once, from streams keyed by its name.

Read in this order: `decisions` (a fill that reaches a tensor, and who asked), `ledger` (entries and homes), `copies`
(of other tensors), `selection` and `lookup` (what a rule selects), `decide` (all of it). Then `computation` (texts,
computed), `attempt` (tried before), `drawing` (one tensor by a named fill, in pieces and threads), `filling` (the whole
ledger), `foreign` (the tensors of a module that no config describes), `examples` (the inputs),
`measured` (what is scaled when all have values), `sharded` (the part of a tensor that one of many processes holds).

>>> import modelzoo
>>> model = {"layers": ["Linear(4, 2)"]}
>>> [each.rule for each in modelzoo.plan(model, {"w": {"param": "weight", "fill": 0}}).tensors]
['init.w', 'torch']
"""
