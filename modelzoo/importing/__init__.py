"""From a module that was written in Python to a config: it is called, and what each block computes is written down.

In come a module and what it is called with. Out goes a config, which was built and compared with the module.

Read `module` first (the way on one page). What a forward does: `recorder` calls, and keeps the nodes of a `graph` in
`records`; `sources` tells what the author calls them, `observed` knows functions of torch and `buffers` those of a
block, `owners` whose everything is, `calls` how a model is called, and `kept` puts it back. As a text: `loops` finds
what comes again and again, by what `turns` have in common and the `ranges` that they go over; `training` joins both
modes, `usage` says what needs a name, `operations` what an operation is called, `places` how layers and tensors are,
`values` and `texts` make statements of `bodies`, with `constants`, and `variables` gives names. As a tree (`trees`):
`structure` says a module, with `layers` read off, `fillings` (`tables` and `waves`) of its tensors, and `ours` where a
config was there before; `repeats` and `definitions` find what is equal, `sharing` what is one. `config` is the tree as
data, `verification` compares, and `written` is the YAML.

>>> from modelzoo.importing.layers import call_of
>>> from torch import nn
>>> call_of(nn.ReLU()).name
'ReLU'
"""
