"""From characters to a function: formulas, `forward` and `fill` texts are one language, a subset of Python's grammar.

In come a text and the names that it may use; out goes a `Translation`, a value: checked code, or what is wrong with the
text, each mistake with its line and column. Nothing is executed here but what was checked.

Read in this order: `syntax` (characters to a tree), `names` (what names and dotted names mean), `calls`, `expressions`
and `statements` (a rule for each node, which rewrites or refuses it), `unrolled`, `idioms` and `pasted` (what PyTorch
writes otherwise, and the line to write), `compiler` (a tree to code, code to a function), `runtime` (what the code
calls), `formulas` (expressions over args, evaluated), `pieces` (of trees).

>>> from modelzoo.language import compiler, names
>>> compiler.translate("x.__class__", names.Names(inputs=("x",)), "forward").errors[0].what
"there is no attribute '__class__'"
"""
