"""A model on several machines: in goes a draft on meta and how torch splits it, out comes what this rank holds.

What runs below is torch's own: device meshes, DTensors, FSDP2. Read in this order: `boxes` (where a part lies in its
tensor), `parts` (the values of a part), `sharded` (the whole way).

>>> from torch.distributed.tensor import Replicate, Shard
>>> from modelzoo.sharding.boxes import box
>>> box((8, 6), [Replicate(), Shard(1)], sizes=[2, 2], ranks=[1, 1])
Box(offsets=(0, 3), sizes=(8, 3))
"""
