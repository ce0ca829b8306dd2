"""What a config may name: layers, functions, methods, dtypes, fills and metrics. Everybody asks, it asks nobody.

In comes a name, out goes an entry of a frozen table, or None: a look-up imports nothing and walks no attributes. What a
user registers stands beside the tables. `catalog` holds layers and functions and what their arguments must be, `fills`
the named fills, `sizes` the arguments that the data decides, `torch_init` how torch itself fills, `metrics` the numbers
of a sweep's table.

>>> from modelzoo.catalog import catalog
>>> catalog.find_layer("Linear").name, catalog.find_layer("os.system")
('Linear', None)
"""
