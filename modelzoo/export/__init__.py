"""What costs more than a run should: a model as Python (`source`), a program (`pt2`, `onnx`), a picture or a page.

`exports` is the table of them; each has `export(draft, model, config, directory) -> Path`. All look at what was decided
and at the model, and nothing that decides knows them.

>>> from modelzoo.export import exports
>>> sorted(exports.EXPORTERS)
['graph', 'onnx', 'pt2', 'report', 'source']
"""
