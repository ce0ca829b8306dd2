"""Tests written as configs.

`cases` reads a file of tests as values, `trials` builds what a test is about, `expectations` compares it with what the
test expects, `compare` finds differences of two models, and `pytest_plugin` hands all that to pytest.

>>> from modelzoo.testing import cases
>>> cases.__name__
'modelzoo.testing.cases'
"""
