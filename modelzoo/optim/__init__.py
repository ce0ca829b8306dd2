"""What a model hands to an optimiser: groups of its tensors with options, checked before a step is made.

In come a module, whoever wrote it, and groups as a config says them. Out goes a `Grouping`, and from it the list of
mappings that every class of `torch.optim` takes.

Read `grouping` first (the values), then `assignment` (which tensor is in which group), `optimisers` (what options there
are) and `repeats` (the index of a copy); `groups` does it all. `loss` and `stepping` try it: one step, and what moved.

>>> from modelzoo.optim import optimisers
>>> optimisers.named("AdamW").__name__
'AdamW'
"""
