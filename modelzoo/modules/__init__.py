"""Modules without values, and the pass that checks them.

In comes an `Instance`. `construct` calls every constructor once and gives a `Skeleton`, whose tensors hold nothing:
`torch_layers` are made without drawing a number, `user_layers` with what they draw kept, `blocks` are classes made of
texts. `dry_run` sends the example inputs through, on zeros or on meta, finds the sizes that were left out, and explains
what does not fit; `observe`, `flops` and `traced` watch such a pass. `equal` finds modules that need not run twice,
`memory` counts bytes.

>>> from modelzoo.modules import memory
>>> memory.shown(4_000_000_000)
'4.0 GB'
"""
