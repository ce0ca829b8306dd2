"""What a module's own initialisation does, and what it leaves undone.

In comes what makes a module, or a module; it is made, or its own functions are run, over poisoned memory while each
write is seen. Out goes an `Audit`: a row for each tensor, and a `Finding` for each that is never written, that loses
what was written, or that is not written anew on meta, each with a reproduction that fails until it is repaired.

Read in this order: `poison` (what fresh memory holds), `places` (who writes), `watch` (the writes), `resets` (the own
functions of a module), `evidence` (what a run leaves), `findings` (what is wrong), `audit` (all of it).

>>> import modelzoo
>>> from torch import nn
>>> print(modelzoo.audit(lambda: nn.Linear(4, 2)))
no findings in 2 tensors
"""
