"""Text, mappings and Hydra's answer become plain data, and every key keeps its place.

In comes what a user wrote: a path, a mapping, a DictConfig, or overrides for Hydra to compose. Out goes a `Config`:
the plain model, init and options, and a function that says where each key stands (`file:line:column`, or the override
as it was typed). Nothing after this package knows Hydra or OmegaConf.

Read `config` first, then `document` (YAML as nodes with places, within bounds), `scalars` and `plain` (nodes as plain
data), `interpolation` (`${a.b}`), `modelfile` (a file from anywhere). For Hydra: `compose` (overrides to a `Config`),
`search_path` (the configs that it finds, and what sets their keys), `swept` (the jobs of a sweep), `places`, `omega` (a
DictConfig as plain data),
`hydra_errors` and `hydra_messages` (what it refuses, as problems).

>>> from modelzoo.config.config import from_mapping
>>> from_mapping({"layers": ["Linear(4, 2)"]}).model
{'layers': ['Linear(4, 2)']}
"""
