"""Everything that is decided, as plain values, and as tables.

A `Plan` holds a record of each module and tensor and prints itself. `rows` are one place of a module or tensor in any
output, `table` shows them, `terminal` is what they are shown on. `summary` is the table of any module, `origins` knows
what a built model was made from.

>>> import modelzoo
>>> modelzoo.plan({"layers": ["Linear(4, 2)"]}).parameters
10
"""
