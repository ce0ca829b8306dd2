"""A model on several machines: in goes a draft on meta and how torch splits it, out comes what this rank holds.

What runs below is torch's own: device meshes, DTensors, FSDP2. Where a part lies in its tensor says `modelzoo.parts`,
what is drawn for it `modelzoo.init.sharded`. Read `sharded` (the whole way), then `rules` (how to split, as data),
`meshes`, `units`, `ties`, `shares` with `collectives` (what each rank would hold and do, known before), and `gathering`
(what all ranks know together).

>>> import modelzoo
>>> model = {"layers": ["Linear(4, 2)"]}
>>> built = modelzoo.build(model, seed=1, parallelize=lambda model: None)  # as if there were one rank
>>> built[0].weight.equal(modelzoo.build(model, seed=1)[0].weight)
True
"""
