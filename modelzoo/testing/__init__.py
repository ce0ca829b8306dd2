"""Tests written as configs.

In comes a `test_*.yaml`. `cases` reads it without torch into `Case`s, frozen values with every mistake in them;
`checker` builds what a case describes and looks at all that it expects. Out goes nothing, or a `ConfigError` with a
problem for each thing that is not as expected, at its place in the file. `pytest_plugin` hands all that to pytest.

Read `case` first (what a test is), then `cases` and what it is made of: `readers` (plain values), `fields` (what may be
written) and `overrides` (what a test sets). Then `checker`, and what it asks: `configs` (what is to be built),
`subject` (the model of a test), `found` (what is not as expected), `tensor_facts`, `model_facts`, `output_facts` and
`round_trips`.

>>> from modelzoo.config import document
>>> from modelzoo.testing import cases
>>> text = "small: {config: {layers: [ReLU]}, expect: {parameters: 0}, sweep: {seed: [1, 2]}}"
>>> for case in cases.cases(document.read(text, "test_small.yaml")):
...     print(case.name, [(fact.name, fact.value) for fact in case.expect])
small[seed=1] [('parameters', 0)]
small[seed=2] [('parameters', 0)]
"""
