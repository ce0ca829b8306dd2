"""A model on several machines: in goes a draft on meta and how torch splits it, out comes what this rank holds.

What runs below is torch's own: device meshes, DTensors, FSDP2. Where a part lies in its tensor, and what it holds, says
`modelzoo.init.sharded`. Read `sharded` (the whole way), then `rules` (how to split, as data), `ties`,
and `shares` (what each rank would hold, known before).

>>> import modelzoo
>>> model = {"layers": ["Linear(4, 2)"]}
>>> built = modelzoo.build(model, seed=1, parallelize=lambda model: None)  # as if there were one rank
>>> built[0].weight.equal(modelzoo.build(model, seed=1)[0].weight)
True
"""
