"""What a config may name: layers, functions, methods, dtypes, fills and metrics. Everybody asks, it asks nobody.

In comes a name, out goes an entry of a frozen table, or None: a look-up imports nothing and walks no attributes. What a
user registers stands beside the tables (`registry`).

Read in this order: `layers` (types and their signatures), `checks` (what one value must be), `arguments` (what each
argument of a layer must be, alone and together), `functions` (with methods, attributes and dtypes) and `guards` (what
is not given to them), `fill` and `fills` (named fills), `fill_checks`, `distributions` (how each draws), `sizes`
(arguments that the data decides), `torch_init` (how torch itself fills), `metrics` (numbers of a sweep's table).

>>> from modelzoo.catalog import layers
>>> layers.find_layer("Linear").name, layers.find_layer("os.system")
('Linear', None)
"""
