"""Tests written as configs: what is collected, what each expectation says when it fails, and how failures teach."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import torch._dynamo

import modelzoo
from modelzoo.config import hydra_errors
from modelzoo.export.source import model
from modelzoo.testing import checker
from tests.helpers.documents import parts

pytest_plugins = ["pytester"]

ROOT = Path(modelzoo.__file__).parents[1]
LOADED = (
    hydra_errors,
    checker,
    model,
    torch._dynamo,
)  # an inner run forgets what it imports, and would import torch every time
INSTALLED = any(each.name == "modelzoo" for each in entry_points(group="pytest11"))
PLUGIN = () if INSTALLED else ("-pmodelzoo.testing.pytest_plugin",)


@pytest.fixture
def run(pytester):
    """Runs pytest in a folder of its own; gives the result."""

    def runs(*arguments):
        without = ("-pno:cacheprovider", "-pno:xdist", "-pno:hypothesispytest")  # the imports of the last take seconds
        return pytester.runpytest_inprocess(*PLUGIN, *without, "-Wdefault", *arguments)

    return runs


def write(pytester, path, text):
    file = pytester.path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def failure(result, name):
    """What is said about a test that failed, all of it."""
    lines = result.outlines
    start = next(i for i, line in enumerate(lines) if re.fullmatch(rf"_+ {re.escape(name)} _+", line))
    end = next(i for i in range(start + 1, len(lines)) if re.match(r"_{3,} |={3,} |-{3,} ", lines[i]))
    return "\n".join(lines[start + 1 : end]) + "\n"


# --- every kind of expectation --------------------------------------------------------------------------------------

CONFIG = """\
    model:
      inputs: {x: {shape: [2, 3], fill: ones}}
      layers: {a: "Linear(3, 4)", b: {_ref_: a}, c: "Linear(4, 1, bias=False)"}
      buffers: {k: {shape: [], fill: 2}}
      forward: |
        y = c(relu(a(x)))
        return {'y': y, 'parts': (y * k, y - 12, y / (y - y))}
    init: {weights: {param: weight, fill: 1}, biases: {param: bias, fill: 0}}
"""

A = "Tensor a.weight (also b.weight): float32 [4, 3], filled by init.weights: constant(value=1)."
B = "Tensor a.bias (also b.bias): float32 [4], filled by init.biases: constant(value=0)."
C = "Tensor c.weight: float32 [1, 4], filled by init.weights: constant(value=1)."
K = "Tensor k: float32 [], filled by model.buffers.k: constant(value=2)."

KINDS = {
    # what holds, what does not, at which key, and what is said
    "shape": ("output: {y: {shape: [2, 1]}}", "output: {y: {shape: [2]}}", "output.y.shape", "Expected shape [2], found [2, 1]."),
    "dtype": ("output: {y: {dtype: float32}}", "output: {y: {dtype: float64}}", "output.y.dtype", "Expected dtype float64, found float32."),
    "finite": ("output: {y: {finite: true}}", "output: {y: {finite: false}}", "output.y.finite", "Expected values that are not finite, found finite ones."),
    "not finite": ("output: {parts: [{finite: true}, {finite: true}, {finite: false}]}", "output: {parts: [{finite: true}, {finite: true}, {finite: true}]}", "output.parts.2.finite", "Expected finite values, found 2 that are not."),
    "range": ("output: {y: {range: [11, 12]}}", "output: {y: {range: [11, 11.5]}}", "output.y.range", "Expected values from 11 to 11.5, found 12 to 12."),
    "sum": ("output: {y: {sum: 24}}", "output: {y: {sum: 23}}", "output.y.sum", "Expected sum 23, found 24."),
    "mean": ("output: {y: {mean: {value: 11, within: 1}}}", "output: {y: {mean: {value: 11, within: 0.5}}}", "output.y.mean", "Expected mean 11 within 0.5, found 12."),
    "std": ("output: {y: {std: 0}}", "output: {y: {std: 0.1}}", "output.y.std", "Expected std 0.1, found 0."),
    "min": ("output: {y: {min: 12}}", "output: {y: {min: 13}}", "output.y.min", "Expected min 13, found 12."),
    "max": ("output: {y: {max: 12}}", "output: {y: {max: 11}}", "output.y.max", "Expected max 11, found 12."),
    "values": ("output: {y: {values: [[12], [12]]}}", "output: {y: {values: [[12], [13]]}}", "output.y.values", "Expected the values that are listed, found 1 of 2 different: at [1, 0] 12 instead of 13."),
    "values within": ("output: {y: {values: {value: [[12], [13]], within: 1}}}", "output: {y: {values: {value: [[12], [13]], within: 0.5}}}", "output.y.values", "Expected the values that are listed within 0.5, found 1 of 2 different: at [1, 0] 12 instead of 13."),
    "values of another shape": ("output: {y: {values: [[12], [12]]}}", "output: {y: {values: [12, 12]}}", "output.y.values", "Expected values of shape [2], found shape [2, 1]."),
    "tuple": ("output: {parts: [{values: 24}, {values: 0}, {shape: [2, 1]}]}", "output: {parts: [{values: 24}, {values: 0}]}", "output.parts", "Expected 2 outputs, found 3 outputs."),
    "dict": ("output: {y: {values: 12}}", "output: {z: {values: 12}}", "output.z", "Expected an output 'z', found y, parts."),
    "a tensor": ("output: {y: {sum: 24}}", "output: {sum: 24}", "output.sum", "Expected a tensor, found a dict with y, parts."),
    "parameters": ("parameters: 20", "parameters: 21", "parameters", "Expected 21 parameters, found 20.\n  They are a.weight [4, 3], a.bias [4], c.weight [1, 4]."),
    "trainable": ("trainable: 20", "trainable: 0", "trainable", "Expected 0 trainable parameters, found 20.\n  They are a.weight [4, 3], a.bias [4], c.weight [1, 4]."),
    "buffers": ("buffers: 1", "buffers: 2", "buffers", "Expected 2 elements in buffers, found 1.\n  They are k []."),
    "bytes": ("bytes: 84", "bytes: 80", "bytes", "Expected 80 bytes, found 84.\n  They are a.weight [4, 3], a.bias [4], c.weight [1, 4], k []."),
    "tensor shape": ("tensors: {a.weight: {shape: [4, 3]}}", "tensors: {a.weight: {shape: [3, 4]}}", "tensors.a.weight.shape", f"Expected shape [3, 4], found [4, 3].\n  {A}"),
    "tensor dtype": ("tensors: {a.weight: {dtype: float32}}", "tensors: {a.weight: {dtype: int64}}", "tensors.a.weight.dtype", f"Expected dtype int64, found float32.\n  {A}"),
    "same tensor": ("tensors: {a.weight: {same_as: b.weight}}", "tensors: {a.weight: {same_as: c.weight}}", "tensors.a.weight.same_as", f"Expected the same tensor as c.weight, found two tensors.\n  {A}"),
    "equals a number": ("tensors: {a.weight: {equals: 1}}", "tensors: {a.weight: {equals: 0.5}}", "tensors.a.weight.equals", f"Expected the values that are listed, found 12 of 12 different: at [0, 0] 1 instead of 0.5.\n  {A}"),
    "equals values": ("tensors: {c.weight: {equals: [[1, 1, 1, 1]]}}", "tensors: {c.weight: {equals: [[1, 1, 0, 1]]}}", "tensors.c.weight.equals", f"Expected the values that are listed, found 1 of 4 different: at [0, 2] 1 instead of 0.\n  {C}"),
    "equals a fill": ("tensors: {a.bias: {equals: zeros}}", "tensors: {a.bias: {equals: ones}}", "tensors.a.bias.equals", f"Expected what the fill ones gives, found 4 of 4 different: at [0] 0 instead of 1.\n  {B}"),
    "tensor mean": ("tensors: {a.weight: {mean: 1}}", "tensors: {a.weight: {mean: 2}}", "tensors.a.weight.mean", f"Expected mean 2, found 1.\n  {A}"),
    "tensor std": ("tensors: {a.weight: {std: {value: 0.1, within: 0.2}}}", "tensors: {a.weight: {std: {value: 0.3, within: 0.2}}}", "tensors.a.weight.std", f"Expected std 0.3 within 0.2, found 0.\n  {A}"),
    "tensor min": ("tensors: {k: {min: 2}}", "tensors: {k: {min: 1}}", "tensors.k.min", f"Expected min 1, found 2.\n  {K}"),
    "tensor max": ("tensors: {k: {max: 2}}", "tensors: {k: {max: 1}}", "tensors.k.max", f"Expected max 1, found 2.\n  {K}"),
    "trained": ("tensors: {k: {trainable: false}}", "tensors: {k: {trainable: true}}", "tensors.k.trainable", f"Expected a trainable tensor, found one that is not trained.\n  {K}"),
    "rule": ("tensors: {a.bias: {rule: init.biases}}", "tensors: {a.bias: {rule: torch}}", "tensors.a.bias.rule", f"Expected that torch fills it, found init.biases.\n  {B}"),
    "glob": ("tensors: {'*.bias': {equals: 0}}", "tensors: {'*.bias': {equals: 1}}", "tensors.*.bias.equals", f"Expected the values that are listed, found 4 of 4 different: at [0] 0 instead of 1.\n  {B}"),
    "no tensor": ("tensors: {c.weight: {shape: [1, 4]}}", "tensors: {c.weihgt: {shape: [1, 4]}}", "tensors.c.weihgt", "Expected a tensor 'c.weihgt', found none. Did you mean 'c.weight'?"),
    "module type": ("modules: {a: Linear}", "modules: {a: ReLU}", "modules.a.type", "Expected the type ReLU, found Linear.\n  Module a: Linear(in_features=3, out_features=4)."),
    "same module": ("modules: {a: {same_as: b}}", "modules: {a: {same_as: c}}", "modules.a.same_as", "Expected the same module as c, found two modules.\n  Module a: Linear(in_features=3, out_features=4)."),
    "absent module": ("modules: {d: {absent: true}}", "modules: {c: {absent: true}}", "modules.c", "Expected no module 'c', found c, Linear."),
    "calls": ("modules: {c: {calls: 1}}", "modules: {c: {calls: 2}}", "modules.c.calls", "Expected 2 calls, found 1.\n  Module c: Linear(in_features=4, out_features=1, bias=False)."),
    "keys": ("keys: [k, a.weight, a.bias, b.weight, b.bias, c.weight]", "keys: [k, a.weight, a.bias, b.weight, b.bias, c.weight, c.bias]", "keys", "Expected the 7 keys that are listed, found 6: without c.bias."),
    "order of keys": ("keys: [k, a.weight, a.bias, b.weight, b.bias, c.weight]", "keys: [a.weight, k, a.bias, b.weight, b.bias, c.weight]", "keys", "Expected the 6 keys that are listed, found 6: in another order: k, a.weight, a.bias, b.weight, b.bias, c.weight."),
    "gradient": ("gradient: ['*.weight', '*.bias']", "gradient: ['*.weight']", "gradient", f"Expected no gradient for a.bias, found one.\n  {B}"),
    "gradient of one": ("gradient: {a.weight: true, k: false}", "gradient: {a.weight: false, k: false}", "gradient", f"Expected no gradient for a.weight, found one.\n  {A}"),
    "signals": ("signals: {a: {output_mean: 3}}", "signals: {a: {output_mean: 4}}", "signals.a.output_mean", "Expected output_mean 4, found 3.\n  Call 0 of a: Linear [32, 4]."),
    "signals between": ("signals: {c: {output_mean: {between: [11, 13]}}}", "signals: {c: {output_mean: {between: [0, 1]}}}", "signals.c.output_mean", "Expected output_mean between 0 and 1, found 12.\n  Call 0 of c: Linear [32, 1]."),
    "findings": ("signals: {findings: gradient explodes}", "signals: {findings: none}", "signals.findings", "Expected no findings, found:\n  gradient explodes: the gradient of what 'c' returns is not finite.\n    init.weights (test_it.yaml:LINE) fills 'c.weight'."),
    "unchanged by": ("unchanged_by: {overrides: [seed=1], tensors: ['*']}", "unchanged_by: {overrides: [init.biases.fill=1], tensors: ['*.weight', k, a.bias]}", "unchanged_by", f"Expected a.bias unchanged by init.biases.fill=1, found 4 of 4 different: at [0] 1 instead of 0.\n  {B}"),
}  # fmt: skip


RESULTS: list[pytest.RunResult] = []


@pytest.fixture
def result(pytester, run):
    """One run over all of KINDS: `right_0` and `wrong_0` are the first of them."""
    if not RESULTS:
        tests = [
            f"{name}_{number}:\n  config:\n{CONFIG}  expect:\n    {expect}\n"
            for number, kind in enumerate(KINDS.values())
            for name, expect in zip(("right", "wrong"), kind[:2], strict=True)
        ]
        write(pytester, "test_it.yaml", "".join(tests))
        RESULTS.append(run("-v"))
    return RESULTS[0]


@pytest.mark.parametrize("kind", KINDS)
def test_an_expectation_holds_or_says_what_was_expected_and_found(result, kind):
    number = list(KINDS).index(kind)
    assert f"test_it.yaml::right_{number} PASSED" in result.stdout.str()
    place, _, said = failure(result, f"wrong_{number}").partition("\n")
    assert re.fullmatch(rf"test_it.yaml:\d+:\d+  wrong_{number}.expect.{re.escape(KINDS[kind][2])}", place)
    said = re.sub(r"\(test_it.yaml:\d+:\d+\)", "(test_it.yaml:LINE)", said)
    assert said == f"  {KINDS[kind][3]}\nTo see it: pytest test_it.yaml::wrong_{number}\n"


# --- outputs of two models, round trips, errors -----------------------------------------------------------------------

TINY = "args: {dim: 3, width: 4}\ninputs: {x: [2, dim]}\nlayers:\n  a: Linear(dim, width)\n  b: Linear(width, 1)\nforward: return b(relu(a(x)))\n"


@pytest.fixture
def project(pytester):
    """A folder with nothing but one model and one file of tests."""

    def writes(tests):
        write(pytester, "conf/model/tiny.yaml", TINY)
        write(pytester, "tests/test_tiny.yaml", tests)

    return writes


def test_a_project_is_a_model_and_a_file_of_tests(project, run):
    project("tiny_is_tiny:\n  config: [model=tiny]\n  expect:\n    parameters: 22\n")
    result = run()
    result.assert_outcomes(failed=1)
    assert failure(result, "tiny_is_tiny") == (
        "tests/test_tiny.yaml:4:5  tiny_is_tiny.expect.parameters\n"
        "  Expected 22 parameters, found 21.\n"
        "  They are a.weight [4, 3], a.bias [4], b.weight [1, 4], b.bias [1].\n"
        "To see it: modelzoo model=tiny\n"
    )


def test_the_command_fits_the_folder_where_pytest_was_typed_and_a_run_py(project, run, pytester, monkeypatch):
    project("a:\n  config: [model=tiny, \"model.layers.a='Linear(3, 4)'\"]\n  expect: {parameters: 1}\n")
    write(pytester, "run.py", "")
    monkeypatch.chdir(pytester.path / "tests")
    said = failure(run(), "a")
    assert said.endswith(
        f"To see it: cd {pytester.path} && python run.py model=tiny 'model.layers.a='\"'\"'Linear(3, 4)'\"'\"''\n"
    )


def test_a_model_file_is_found_beside_the_test(project, run, pytester):
    project(
        "a: {config: ../other/model.yaml, expect: {parameters: 21}, sweep: {args.width: [4, 5]}}\nb: {config: ../other/model.yaml, expect: {parameters: 1}}\nc: {config: none.yaml, expect: {parameters: 1}}\n"
    )
    write(pytester, "other/model.yaml", TINY)
    result = run()
    result.assert_outcomes(passed=1, failed=3)
    assert failure(result, "a[args.width=5]").splitlines()[1] == "  Expected 21 parameters, found 26."
    assert failure(result, "b").splitlines()[-1] == "To see it: python -m modelzoo run tests/../other/model.yaml"
    assert failure(result, "c").splitlines()[:2] == [
        "tests/test_tiny.yaml:3:5  c.config",
        "  There is no file 'none.yaml' beside the test.",
    ]


def test_an_output_is_the_same_as_that_of_another_config_with_the_same_weights(project, run):
    other = "inputs: {x: [2, 3]}, layers: ['Linear(3, 4)', %s, 'Linear(4, 1)']"
    project(
        "same: {config: [model=tiny], expect: {output: {same_as: {" + other % "ReLU" + "}}}}\n"
        "close: {config: [model=tiny], expect: {output: {same_as: {config: {" + other % "'LeakyReLU(1e-7)'" + "}, within: 1e-5}}}}\n"
        "other: {config: [model=tiny, init=constant], expect: {output: {same_as: {" + other % "Sigmoid" + "}}}}\n"
        "misfit: {config: [model=tiny], expect: {output: {same_as: [model=tiny, model.args.width=5]}}}\n"
    )  # fmt: skip
    result = run()
    result.assert_outcomes(passed=2, failed=2)
    assert re.fullmatch(
        "tests/test_tiny.yaml:3:64  other.expect.output.same_as\n"
        r"  Expected the same output, found 2 of 2 different: at \[0, 0\] [-.\d]+ instead of [-.\d]+\.\n"
        "To see it: modelzoo model=tiny init=constant\n",
        failure(result, "other"),
    )
    assert failure(result, "misfit") == (
        "tests/test_tiny.yaml:4:50  misfit.expect.output.same_as\n"
        "  Expected a model that can take the same weights, found a.weight [5, 3] instead of [4, 3].\n"
        "To see it: modelzoo model=tiny\n"
    )


def test_a_gradient_that_cannot_be_computed_is_a_failure_and_no_crash(pytester, run):
    write(
        pytester,
        "test_it.yaml",
        "a:\n"
        "  config:\n"
        "    inputs: {x: [2, 8]}\n"
        "    layers: ['Linear(8, 8)', Sigmoid, ReLU(inplace=True)]\n"
        "  expect: {gradient: ['*']}\n",
    )
    assert failure(run(), "a") == (
        "test_it.yaml:4:39  model.layers.2\n"
        "  '2' is ReLU(inplace=True): it changes in place what the gradient needs as it was. Write inplace=False.\n"
        "To see it: pytest test_it.yaml::a\n"
    )


def test_keys_may_stand_in_a_file(project, run, pytester):
    project(
        "a: {config: [model=tiny], expect: {keys: keys.txt}}\nb: {config: [model=tiny], expect: {keys: none.txt}}\n"
    )
    write(pytester, "tests/keys.txt", "a.weight\na.bias\nb.weight\nb.bias\n")
    result = run()
    result.assert_outcomes(passed=1, failed=1)
    assert failure(result, "b").splitlines()[1] == "  Expected a file 'none.txt' beside the test, found none."
    write(pytester, "tests/keys.txt", "a.weight\na.bias\nb.weight\nc.bias\n")
    assert (
        failure(run(), "a").splitlines()[1]
        == "  Expected the 4 keys that are listed, found 4: without c.bias; with b.bias besides."
    )


def test_a_config_that_is_wrong_is_shown_with_the_place_of_the_test(project, run):
    project("a: {config: [model=tiny, model.layers.a=Linaer], expect: {parameters: 1}}\n")
    assert failure(run(), "a") == (
        "tests/test_tiny.yaml:1:1  a\n"
        "command line  model.layers.a=Linaer\n"
        "  there is no layer 'Linaer'. Did you mean 'Linear'?\n"
        "To see it: modelzoo model=tiny model.layers.a=Linaer\n"
    )


def test_an_inline_model_is_blamed_at_its_line(pytester, run):
    write(pytester, "test_it.yaml", "a:\n  config:\n    layers:\n      - Linaer(3, 4)\n  expect: {parameters: 1}\n"
                                    "b:\n  config:\n    model:\n      layers:\n        - Linaer(3, 4)\n  expect: {parameters: 1}\n")  # fmt: skip
    result = run()
    assert failure(result, "a").splitlines()[0] == "test_it.yaml:4:9  model.layers.0"
    assert failure(result, "b").splitlines()[0] == "test_it.yaml:10:11  model.layers.0"


ERRORS = {
    "Did you mean 'Linear'?": True,
    "{text: there is no layer, where: command line}": True,
    "{path: model.layers.a=Linaer}": True,
    "[{text: there is no layer}, Linaer]": True,
    "Did you mean 'ReLU'?": False,
    "{text: there is no layer, where: conf/model/tiny.yaml}": False,
    "{path: model.layers.b=Linaer}": False,
    "[{text: there is no layer}, ReLU]": False,
}


def test_an_expected_error_is_reported_with_its_place(project, run):
    tests = [
        f"e{i}: {{config: [model=tiny, model.layers.a=Linaer], expect: {{error: {error}}}}}"
        for i, error in enumerate(ERRORS)
    ]
    project("\n".join(tests))
    result = run("-v")
    for number, holds in enumerate(ERRORS.values()):
        assert f"::e{number} {'PASSED' if holds else 'FAILED'}" in result.stdout.str()
    assert failure(result, "e5") == (
        "tests/test_tiny.yaml:6:60  e5.expect.error\n"
        "  Expected the error 'there is no layer' at conf/model/tiny.yaml, found:\n"
        "  command line  model.layers.a=Linaer\n"
        "    there is no layer 'Linaer'. Did you mean 'Linear'?\n"
        "To see it: modelzoo model=tiny model.layers.a=Linaer\n"
    )


def test_an_expected_error_that_does_not_come_is_a_failure(project, run):
    project("a: {config: [model=tiny], expect: {error: Did you mean}}\n")
    assert (
        failure(run(), "a").splitlines()[1]
        == "  Expected the error 'Did you mean', found none: the model builds and runs."
    )


def test_the_line_of_an_error_is_no_prefix_of_another(project, run):
    project("a: {config: {layers: [Linaer]}, sweep: {layers.0: [Linaer]}, expect: {error: {where: 'tests/test_tiny.yaml:1'}}}\n"
            "b: {config: [model=tiny, +model.more=1], expect: {error: {where: comm}}}\n")  # fmt: skip
    run().assert_outcomes(passed=1, failed=1)


LAYERS = """
import torch
import modelzoo

class NotPickled(torch.nn.Identity):
    def __reduce__(self): raise TypeError("this is not pickled")

class Changing(torch.nn.Module):
    def __init__(self, n: int):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(n))
    def forward(self, x): return x
    def __deepcopy__(self, memo): return Changing(2)

for each in (NotPickled, Changing): modelzoo.register.layer(each)
"""


def test_each_round_trip_fails_where_something_is_lost(pytester, run):
    buffer = "buffers: {noise: {shape: [2], fill: normal, persistent: %s}}, forward: return x"
    tests = {
        "save": "{inputs: {x: [2]}, " + buffer % "true" + "}, expect: {round_trip: save_load}",
        "not_saved": "{inputs: {x: [2]}, " + buffer % "false" + "}, expect: {round_trip: save_load}",
        "pickled": "{layers: [Identity]}, expect: {round_trip: [pickle, deepcopy, save_load, source]}",
        "not_pickled": "{layers: [NotPickled]}, expect: {round_trip: pickle}",
        "copied": "{layers: ['Linear(2, 2)']}, expect: {round_trip: deepcopy}",
        "not_copied": "{model: {layers: ['Changing(3)']}, init: {all: {param: weight, fill: 1}}}, expect: {round_trip: deepcopy}",
    }
    write(pytester, "test_it.yaml", "".join(f"{name}: {{config: {test}}}\n" for name, test in tests.items()))
    write(pytester, "conftest.py", LAYERS)
    result = run()
    result.assert_outcomes(passed=3, failed=3)
    lost = failure(result, "not_saved").splitlines()[1]
    assert re.fullmatch(
        r"  Expected that save_load brings the same model back, found noise: 2 of 2 different: at \[0\] \S+ instead of \S+\.",
        lost,
    )
    assert (
        failure(result, "not_pickled").splitlines()[1]
        == "  Expected that pickle brings the model back, found TypeError: this is not pickled."
    )
    assert failure(result, "not_copied").splitlines()[1] == (
        "  Expected that deepcopy brings the same model back, found 0.weight: float32 [2] instead of float32 [3]."
    )


def test_a_source_that_differs_is_a_failure(pytester, run, monkeypatch):
    write(pytester, "test_it.yaml", "a: {config: {layers: ['Linear(2, 2)']}, expect: {round_trip: source}}\n")
    run().assert_outcomes(passed=1)
    other = "from torch import nn\nclass Model(nn.Sequential):\n    def __init__(self): super().__init__(nn.Linear(2, 2), nn.PReLU())"
    monkeypatch.setattr(model, "source", lambda *_, **__: other)
    assert "Expected that source brings the model back" in failure(run(), "a")
    monkeypatch.setitem(sys.modules, "modelzoo.export.source.model", None)
    assert failure(run(), "a").splitlines()[1:3] == [
        "  Expected that source brings the model back, found:",
        "  round_trip",
    ]


# --- what may be written ----------------------------------------------------------------------------------------------

WRONG = {
    # a test that says nothing, or what nobody understands: its message
    "{config: [], expect: {}}": "expect: expect is empty: this asserts nothing. Known: output, parameters, buffers, trainable, bytes, tensors, modules, keys, gradient, signals, unchanged_by, error, round_trip.",
    "{config: [], expect: {tensors: {}}}": "expect.tensors: tensors maps names to what is said about them, not {}.",
    "{config: [], expect: {tensors: {a: {}}}}": "expect.tensors.a: a tensor is empty: this asserts nothing. Known: shape, dtype, finite, range, sum, mean, std, min, max, equals, same_as, trainable, rule, group, options.",
    "{config: [], expect: {output: {}}}": "expect.output: output is empty: this asserts nothing. Known: shape, dtype, finite, range, sum, mean, std, min, max, values, same_as.",
    "{config: [], expect: {keys: []}}": "expect.keys: keys is empty: this says nothing.",
    "{config: [], expect: {error: []}}": "expect.error: error is empty: this asserts nothing. Write error: Did you mean 'Linear'?",
    "{config: [], expect: {error: ''}}": "expect.error: error is a text, not ''.",
    "{config: [], expect: {gradient: []}}": "expect.gradient: gradient is empty: this says nothing.",
    "{config: [], expect: {unchanged_by: []}}": "expect.unchanged_by: unchanged_by is empty: this asserts nothing.",
    "{config: [], expect: {modules: {a: {}}}}": "expect.modules.a: a module is empty: this asserts nothing. Known: type, same_as, absent, calls.",
    "{config: [], expect: {paramters: 3}}": "expect.paramters: expect has no 'paramters'. Did you mean 'parameters'?",
    "{config: [], expect: {output: {shpe: [2]}}}": "expect.output.shpe: output has no 'shpe'. Did you mean 'shape'?",
    "{config: [], expect: {output: {y: {shpe: [2]}}}}": "expect.output.y.shpe: y has no 'shpe'. Did you mean 'shape'?",
    "{config: [], expect: {tensors: {a: {shpe: [2]}}}}": "expect.tensors.a.shpe: a tensor has no 'shpe'. Did you mean 'shape'?",
    "{config: [], expect: {modules: {a: {typ: A}}}}": "expect.modules.a.typ: a module has no 'typ'. Did you mean 'type'?",
    "{config: [], expect: {error: {txt: A}}}": "expect.error.txt: error has no 'txt'. Did you mean 'text'?",
    "{config: [], expect: {output: {sum: {valu: 1}}}}": "expect.output.sum: sum has no 'valu'. Did you mean 'value'?",
    "{config: [], expect: {output: {same_as: {config: [], witin: 1}}}}": "expect.output.same_as: same_as has no 'witin'. Did you mean 'within'?",
    "{config: [], expect: {unchanged_by: {overrides: [a=1], tensors: [a], tensor: a}}}": "expect.unchanged_by.tensor: unchanged_by has no 'tensor'. Did you mean 'tensors'?",
    "{config: [], expect: {signals: {a: {output_sdt: 1}}}}": "expect.signals.a.output_sdt: a signal has no 'output_sdt'. Did you mean 'output_std'?",
    "{config: [], expect: {signals: {findings: [daed]}}}": "expect.signals.findings: there is no finding 'daed'. Did you mean 'dead'?",
    "{config: [], expect: {signals: {a: {dead: {between: [1, 0]}}}}}": "expect.signals.a.dead: between is the lowest and the highest value, not {'between': [1, 0]}. Write dead: {between: [0.5, 2]}.",
    "{config: [], expect: {round_trip: [pikle]}}": "expect.round_trip: there is no round trip 'pikle'. Did you mean 'pickle'?",
    "{config: [], expect: {parameters: -1}}": "expect.parameters: parameters is a number of 0 or more, not -1.",
    "{config: [], expect: {output: {shape: 2}}}": "expect.output.shape: shape is a list of sizes, not 2. Write shape: [2, 10].",
    "{config: [], expect: {output: {dtype: float}}}": "expect.output.dtype: there is no dtype 'float'. Did you mean 'float64'?",
    "{config: [], expect: {output: {finite: 1}}}": "expect.output.finite: finite is true or false, not 1.",
    "{config: [], expect: {output: {range: [2, 1]}}}": "expect.output.range: range is the lowest and the highest value, not [2, 1]. Write range: [-1, 1].",
    "{config: [], expect: {output: {mean: a}}}": "expect.output.mean: mean cannot be 'a'. Write mean: {value: 0.35, within: 0.01}.",
    "{config: [], expect: {output: {mean: {value: 1, within: -1}}}}": "expect.output.mean: within is a number of 0 or more, not -1. Write within: 0.01.",
    "{config: [], expect: {output: {values: []}}}": "expect.output.values: values cannot be []. Write values: [[1, 2]] or values: {value: [[1, 2]], within: 0.01}.",
    "{config: [], expect: {error: a, parameters: 1}}": "expect.error: Beside error nothing else can be expected. Remove it.",
    "{expect: {parameters: 1}}": ": 'a' has no config. Write config: [model=mlp].",
    "{config: 3, expect: {parameters: 1}}": "config: config is a list of overrides, an inline model or the path of a model file. Write config: [model=mlp].",
    "{config: {model: {}, sed: 1}, expect: {parameters: 1}}": "config: 'sed' stands beside 'model'. Did you mean 'seed'?",
    "{config: [], expect: {parameters: 1}, skip: true}": "skip: skip takes its reason, not True. Write skip: why.",
    "{config: [], expect: {parameters: 1}, xfail: ''}": "xfail: xfail takes its reason, not ''. Write xfail: why.",
    "{config: [], expect: {parameters: 1}, marks: {}}": "marks: marks is a list of texts, not {}.",
    "{config: [], expect: {parameters: 1}, sweep: {a: 1}}": "sweep: 'a' takes a list of values, not 1. Write sweep: {init: [xavier, normal]}.",
    "{config: [], expect: {parameters: 1}, sweep: {a: []}}": "sweep: 'a' takes a list of values, not []. Write sweep: {init: [xavier, normal]}.",
    "3": ": 'a' is no test. Write name: {config: [...], expect: {...}}.",
}  # fmt: skip


def test_a_test_that_says_nothing_or_nothing_known_fails_by_itself(project, run):
    project(
        "ok: {config: [model=tiny], expect: {parameters: 21}}\n"
        + "".join(f"a: {test}\n".replace("a:", f"a{i}:", 1) for i, test in enumerate(WRONG))
    )
    result = run()
    result.assert_outcomes(passed=1, failed=len(WRONG))
    for number, expected in enumerate(WRONG.values()):
        key, what = (
            expected.replace("'a' has no", f"'a{number}' has no")
            .replace("'a' is no", f"'a{number}' is no")
            .split(": ", 1)
        )
        place, first, *_ = failure(result, f"a{number}").splitlines()
        name = f"a{number}" + (f".{key}" if key else "")
        assert (place.split("  ")[1], first) == (name, f"  {what}")


def test_a_missing_expect_is_reported_beside_the_misspelt_key(project, run):
    project("a: {config: [], expct: {parameters: 1}}\n")
    assert failure(run(), "a") == (
        "tests/test_tiny.yaml:1:1  a\n"
        "  'a' has no expect. Write expect: {parameters: 121}.\n"
        "tests/test_tiny.yaml:1:17  a.expct\n"
        "  'a' has no 'expct'. Did you mean 'expect'?\n"
        "To see it: modelzoo\n"
    )


# --- collection ---------------------------------------------------------------------------------------------------------

MANY = """\
first: {config: [model=tiny], expect: {parameters: 21}, marks: [slow]}
second: {config: [model=tiny], expect: {parameters: 0}, skip: not today}
third: {config: [model=tiny], expect: {parameters: 0}, xfail: counted elsewhere}
fourth:
  config: [model=tiny]
  sweep: {seed: [4, 8], "model.layers.a": ["Linear(3, 4)", "Linear(3, 4, bias=False)"]}
  expect: {output: {finite: true}}
"""


def items(result):
    return re.findall(r"^tests/\S.*::.*$", result.stdout.str(), re.M)


def test_every_entry_and_every_point_of_a_sweep_is_an_item(project, run):
    project(MANY)
    assert items(run("--collect-only", "-q")) == [
        "tests/test_tiny.yaml::first",
        "tests/test_tiny.yaml::second",
        "tests/test_tiny.yaml::third",
        "tests/test_tiny.yaml::fourth[seed=4,model.layers.a=Linear(3, 4)]",
        "tests/test_tiny.yaml::fourth[seed=4,model.layers.a=Linear(3, 4, bias=False)]",
        "tests/test_tiny.yaml::fourth[seed=8,model.layers.a=Linear(3, 4)]",
        "tests/test_tiny.yaml::fourth[seed=8,model.layers.a=Linear(3, 4, bias=False)]",
    ]


@pytest.mark.parametrize(
    ("arguments", "outcomes"),
    [
        (["-k", "first or second"], {"passed": 1, "skipped": 1, "deselected": 5}),
        (["-m", "slow", "-o", "markers=slow"], {"passed": 1, "deselected": 6}),
        (["tests/test_tiny.yaml::third"], {"xfailed": 1}),
        (["tests/test_tiny.yaml::fourth[seed=4,model.layers.a=Linear(3, 4)]"], {"passed": 1}),
    ],
)
def test_items_are_selected_and_marked_as_others_are(project, run, arguments, outcomes):
    project(MANY)
    run("-Wignore", *arguments).assert_outcomes(**outcomes)


def test_reasons_are_shown(project, run):
    project(MANY)
    result = run("-rsx", "-k", "second or third", "-Wignore")
    result.stdout.fnmatch_lines(["*SKIPPED*not today", "*XFAIL*third*counted elsewhere*"])


def test_an_unknown_mark_is_an_error_where_marks_are_strict(project, run):
    project(MANY.replace("slow", "slwo"))
    result = run("--strict-markers")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*'slwo' not found in `markers` configuration option"])


def test_ten_failures_are_shown_and_all_of_them_on_request(project, run):
    many = ", ".join(f"x{i}: {{shape: []}}" for i in range(12))
    project(f"a: {{config: [model=tiny], expect: {{tensors: {{{many}}}}}}}\n")
    assert "\n... and 2 more (pytest -vv shows all)\nTo see it: modelzoo model=tiny\n" in failure(run(), "a")
    shown = failure(run("-vv"), "a")
    assert "more" not in shown
    assert shown.count("a tensor 'x") == 12


FOREIGN = {
    "values": "name: model\nsteps: [a, b]\n",
    "tagged": "a: !Ref b\nconfig: 1\nexpect: 2\n",
    "template": "a: {{ config: expect: }}\n",
    "cases": "- {config: 1, expect: 2}\n",
    "others": "a: {config: {x: 1}, expect: 3, request: GET}\n",
    "near": "a: {config: {x: 1}, expected: 3}\n",
    "several": "a: {config: 1, expect: 2}\n---\nb: 1\n",
    "empty": "",
    "binary": "\udcff",
}


def test_yaml_of_other_programs_is_left_alone(pytester, run):
    for name, text in FOREIGN.items():
        (pytester.path / f"test_{name}.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    write(pytester, "other.yaml", "a: {config: [], expect: {parameters: 0}}\n")
    write(pytester, "test_it.py", "def test_it(): pass")
    run().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "text", ["a: {config: {x: 1}, expected: 3, url: x}\n", "a: {{config: x}}\n", FOREIGN["values"]]
)
def test_yaml_of_other_programs_is_left_alone_in_a_project_too(project, run, pytester, text):
    project("a: {config: [model=tiny], expect: {parameters: 21}}\n")
    write(pytester, "tests/test_other.yaml", text)
    run().assert_outcomes(passed=1)


def test_a_tensor_without_values_meets_no_expectation(pytester, run):
    write(
        pytester,
        "test_it.yaml",
        "a: {config: {model: {layers: ['Linear(3, 4)']}, device: meta}, expect: {tensors: {0.weight: {shape: [4, 3], sum: 0, min: 0}}}}\n",
    )
    said = failure(run(), "a").splitlines()
    assert [line for line in said if "Expected" in line] == [
        "  Expected sum 0, found a tensor without values.",
        "  Expected min 0, found a tensor without values.",
    ]


def test_in_a_project_no_mistake_hides_a_file(project, run, pytester):
    project("a: {config: [model=tiny], expected: {parameters: 1}}\n")
    write(pytester, "tests/test_broken.yaml", "a: {config: [model=tiny], expect: {parameters: 1}\n")
    write(
        pytester,
        "tests/test_twice.yaml",
        "a: {config: [], expect: {parameters: 1}}\na: {config: [], expect: {parameters: 1}}\n",
    )
    result = run("--continue-on-collection-errors")
    result.assert_outcomes(failed=1, errors=2)
    assert failure(result, "ERROR collecting tests/test_twice.yaml") == (
        "tests/test_twice.yaml:2:1  a\n  The key 'a' stands twice in one mapping.\n"
    )
    assert failure(result, "ERROR collecting tests/test_broken.yaml").startswith(
        "tests/test_broken.yaml:2:1\n  This is not YAML"
    )


@pytest.mark.parametrize("text", ["", "a: {config: [], expect: {parameters: 0}}\n"])
def test_collecting_imports_no_torch_and_nothing_at_all_where_there_is_no_file(pytester, text):
    if text:
        write(pytester, "test_it.yaml", text)
    write(
        pytester,
        "conftest.py",
        "import sys\ndef pytest_collection_finish(session):\n"
        "    print('LOADED', *sorted(each for each in sys.modules if each == 'torch' or each.startswith('modelzoo')))\n",
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-pno:hypothesispytest",
        "-pno:modelzoo",
        "-pmodelzoo.testing.pytest_plugin",
    ]
    done = subprocess.run(command, cwd=pytester.path, capture_output=True, text=True, check=False)
    (loaded,) = re.findall("LOADED (.*)", done.stdout)
    if text:
        assert "test_it.yaml" in done.stdout
        assert "torch" not in loaded.split()
    else:
        own = ("bounds", "errors", "escapes", "known", "late", "names", "signatures", "spelling")
        own += ("testing", "testing.pytest_plugin")
        assert loaded.split() == ["modelzoo", *(f"modelzoo.{each}" for each in own)]


def test_workers_share_the_items(pytester):
    pytest.importorskip("xdist")
    test = "{config: {layers: ['Linear(4, 2)']}, expect: {parameters: 9}"
    write(pytester, "test_it.yaml", f"a: {test}}}\n" + "".join(f"{name}: {test}, skip: later}}\n" for name in "bcd"))
    command = [sys.executable, "-m", "pytest", *PLUGIN, "-n2", "-pno:hypothesispytest"]
    done = subprocess.run(command, cwd=pytester.path, capture_output=True, text=True, check=False)
    assert "1 failed, 3 skipped" in done.stdout
    assert "  Expected 9 parameters, found 10." in done.stdout


def test_the_example_of_the_docs_runs_in_an_empty_folder(pytester, run):
    fences = [each for each in parts(ROOT / "docs" / "testing.md") if each.file]
    for each in fences[:2]:
        write(pytester, each.file, each.text)
    run().assert_outcomes(passed=6)
