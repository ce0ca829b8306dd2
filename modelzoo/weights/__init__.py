"""Weights from elsewhere: what a file holds goes into a model, name by name, or everything that does not fit is said.

In come the option `load` and a model. Out go the tensors of the model with other values, and what came from where.

Read `request` first (what is asked), then `loading` (the way on one page). A file: `formats` chooses among
`tensor_files`, `shards`, `torch_files` (`pickles` looks at them before), `distributed` and `arrays`; each gives
`stored` tensors, not yet read, and `sections` takes the part that holds the weights. Names: `patterns`, `wrappers`,
`order` and `constants`; `names` has all of them together. `pieces` are tensors cut, joined or turned, `matching` says
what goes where, `refusal` what does not fit, `repairs` with which line it would, and `listing` what went where.

>>> from modelzoo.weights import request
>>> request.parsed("resnet18.safetensors").strict
True
"""
