"""The way of a config on one page, and everything that is decided as plain values and as tables.

In comes plain data. `draft` takes it all the way: parsed, resolved, constructed, run dry, decided; then filled. Out
goes a `Draft`, and a `Plan` that prints itself.

Read `draft` first (`reading` is the part of it that needs no torch), then `options` (the table of what may be
chosen), `records` (a module, a tensor) and `plan`, `budget` (whether it fits into memory), `origins` (what a built
model was made from), `ambient` (what surrounds a build and stays). Of tables: `rows` and `statistics`, `lines` (equal
neighbours as one), `table`, `printing` (values and outputs), `summary`, and `inspection` for any module.

>>> import modelzoo
>>> modelzoo.plan({"layers": ["Linear(4, 2)"]}).parameters
10
"""
