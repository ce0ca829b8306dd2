"""From characters to a function: formulas, `forward` and `fill` texts are one language, a subset of Python's grammar.

In come a text and the names that it may use; out goes a `Translation`, a value: checked code, or what is wrong with the
text, each mistake with its line and column. Nothing is executed here but what was checked.

>>> from modelzoo.language import language
>>> language.translate("x.__class__", language.Names(inputs=("x",)), "forward").errors[0].what
"'__class__' is not a method or attribute of tensors"
"""
