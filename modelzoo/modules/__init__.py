"""Modules without values, and the pass that checks them.

In comes an `Instance`, a tree of what is to be constructed, and examples of the inputs. Out go a `Skeleton`, modules
whose tensors hold nothing, and a `Record` of what a pass through them did.

Read `skeleton` first and `homes` (the names of modules and tensors), then `construct` (calls every constructor once)
and what it asks: `torch_layers` (made without drawing a number), `user_layers` (what they draw is kept), `blocks`
(classes made of texts), `reads` (what texts reach by dotted name), `ties`. Then `dry_run` (one pass for each way that
data may decide) and what it asks: `inputs`, `modes` (evaluation and training), `recording`, `watch` (what is decided
where data would), `explain` (which layer or line failed, on what), `misfits` (all whose input does not fit), `chains`
(sizes without an input), `sites` (where they are called), `failures` (what torch means), `strict` and `work` (what meta
lets pass, what would take too long), `gradients` (what a backward pass cannot go through), `uncompiled`, `equal`
(modules that need not run twice), `flops`, `observe` (a pass of a built model), `memory`.

>>> from modelzoo.modules import memory
>>> memory.shown(4_000_000_000)
'4.0 GB'
"""
