"""What a model does to a signal and to its gradient at the start: measured in one pass, and judged.

In come a module and a batch; out goes `Signals`: a `Call` for each call of each module, with what its output and the
gradient of that look like, and a `Finding` for what is wrong with the start, in words, with a rule that repairs it.

Read in this order: `numbers` (of one tensor), `limits` (what counts as wrong), `batch` (the inputs), `observed` (what a
pass leaves), `passing` (the pass), `trunk` (the calls that follow each other), `findings` (what is wrong), `repairs`
(rules, tried before they are told), `signals` (all of it), `lines` (as a picture).

>>> import modelzoo
>>> model = modelzoo.build({"inputs": {"x": [2, 64]}, "layers": ["Linear(64, 64)", "Tanh"]})
>>> [(each.name, each.shape) for each in modelzoo.signals(model).calls]
[('0', (32, 64)), ('1', (32, 64)), ('', (32, 64))]
"""
