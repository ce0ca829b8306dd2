"""modelzoo: declarative models. A model is a config; a builder turns it into ordinary torch modules.

>>> import modelzoo
>>> modelzoo.build({"layers": ["Linear(4, 8)", "ReLU", "Linear(8, 1)"]})[0]
Linear(in_features=4, out_features=8, bias=True)

What is wrong with a config is told all at once, each mistake with its place and what to type instead; of a file that is
its line and column. Nothing is built by halves:

>>> try:
...     modelzoo.build({"layers": ["Liner(4, 8)", "ReLU(inplce=True)"]})
... except modelzoo.ConfigError as error:
...     print(error)
...     print([problem.key for problem in error.problems])
model.layers.0
  there is no layer 'Liner'. Did you mean 'Linear'?
model.layers.1
  ReLU has no argument 'inplce'. Did you mean 'inplace'?
[('model', 'layers', 0), ('model', 'layers', 1)]

What a config says without effect is a warning; the tests of a project can make an error of it by
`warnings.simplefilter("error", modelzoo.ConfigWarning)`:

>>> import warnings
>>> with warnings.catch_warnings(record=True) as told:
...     warnings.simplefilter("always")
...     _ = modelzoo.build({"layers": ["ReLU"]}, {"weights": {"layer": "Linear", "fill": 0}})
>>> print(told[0].message)
init.weights
  the rule 'weights' (layer: Linear) selects no tensor of this model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelzoo.errors import ConfigError, ConfigWarning, Problem

if TYPE_CHECKING:
    from modelzoo import register
    from modelzoo.api import build, initialize, plan
    from modelzoo.auditing.audit import Audit, audit
    from modelzoo.config.opening import load
    from modelzoo.importing.initial import Initial, init_of
    from modelzoo.importing.module import from_module
    from modelzoo.importing.written import write
    from modelzoo.measuring.signals import Signals, signals
    from modelzoo.optim.groups import groups
    from modelzoo.plans.initialized import Report
    from modelzoo.plans.inspection import summary
    from modelzoo.plans.plan import Plan
    from modelzoo.sharding.shares import Shares, shares

__version__ = "0.1.0"
__all__ = [
    "Audit",
    "ConfigError",
    "ConfigWarning",
    "Initial",
    "Plan",
    "Problem",
    "Report",
    "Shares",
    "Signals",
    "audit",
    "build",
    "from_module",
    "groups",
    "init_of",
    "initialize",
    "load",
    "plan",
    "register",
    "shares",
    "signals",
    "summary",
    "write",
]

_HOMES = {
    "Audit": "auditing.audit",
    "audit": "auditing.audit",
    "build": "api",
    "from_module": "importing.module",
    "Initial": "importing.initial",
    "init_of": "importing.initial",
    "write": "importing.written",
    "initialize": "api",
    "plan": "api",
    "load": "config.opening",
    "groups": "optim.groups",
    "Plan": "plans.plan",
    "Report": "plans.initialized",
    "Signals": "measuring.signals",
    "signals": "measuring.signals",
    "Shares": "sharding.shares",
    "shares": "sharding.shares",
    "summary": "plans.inspection",
}


def __getattr__(name: str) -> Any:
    """Imports torch at the first use of what needs it."""
    import importlib

    if name == "register":
        return importlib.import_module("modelzoo.register")
    if name not in _HOMES:
        raise AttributeError(f"module 'modelzoo' has no attribute '{name}'")
    return getattr(importlib.import_module(f"modelzoo.{_HOMES[name]}"), name)
