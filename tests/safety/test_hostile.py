"""A model file is data: whoever wrote it, opening, building and running it does nothing else.

Each file of `hostile` makes one attempt and says how it must end; each file of `benign` is the nearest legal neighbour of
one of them, and must build and run. All are opened in the jail of `jail.py`: a process with limits that ends at the first
event that a model file must not cause.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelzoo.errors import ConfigError
from modelzoo.plans import draft as drafts
from modelzoo.plans.draft import example_inputs, fill
from modelzoo.run import forward

HERE = pathlib.Path(__file__).parents[1]
HOSTILE = sorted((HERE / "hostile").glob("*.yaml"))
BENIGN = sorted((HERE / "benign").glob("*.yaml"))
SECRET = "xyzzy-plugh-42"
MUST = re.compile(rb"# attempt: (.+)\n# must: be refused at (.+?): (.+)\n")

Ask = Callable[..., dict[str, Any]]


def names(paths: list[pathlib.Path]) -> list[str]:
    return [path.stem for path in paths]


@pytest.fixture(scope="module")
def jail() -> Iterator[Ask]:
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "MODELZOO_SECRET": SECRET}
    command = [sys.executable, HERE / "helpers" / "jail.py"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        requests, answers = server.stdin, server.stdout
        assert answers.readline() == "ready\n"

        def ask(folder: pathlib.Path, **request: Any) -> dict[str, Any]:
            print(json.dumps({"folder": os.path.realpath(folder), **request}), file=requests, flush=True)
            answer: dict[str, Any] = json.loads(answers.readline())
            return answer

        yield ask


# The files


@pytest.mark.parametrize("path", HOSTILE, ids=names(HOSTILE))
def test_a_hostile_file_ends_as_it_says(path: pathlib.Path, jail: Ask, tmp_path: pathlib.Path) -> None:
    header = MUST.match(path.read_bytes())
    assert header, "the first two lines say what is attempted and how it must end"
    key, what = header[2].decode(), header[3].decode()
    endless = "processor time" in what
    ended = jail(tmp_path, file=str(path), seconds=1 if endless else 10)
    output = ended["output"]
    assert ended["code"] == 1, output
    assert what in output
    assert key in output or key == "the file"
    assert path.name in output
    for never in ("Traceback", "should not be possible", SECRET, "\x1b"):
        assert never not in output
    written = [each for each in tmp_path.rglob("*") if each.is_file()]
    assert {each.name for each in written} <= {"parameters.safetensors", "parameters.json"}
    assert not any(SECRET.encode() in each.read_bytes() for each in written)


@pytest.mark.parametrize("path", BENIGN, ids=names(BENIGN))
def test_its_nearest_legal_neighbour_builds_and_runs(path: pathlib.Path, jail: Ask, tmp_path: pathlib.Path) -> None:
    ended = jail(tmp_path, file=str(path))
    assert ended["code"] == 0, ended["output"]
    written = sorted(each.name for each in tmp_path.rglob("*") if each.is_file())
    tensors = ["parameters.safetensors"] if "parameters.safetensors" in written else []
    assert written == ["model.yaml", "parameters.json", *tensors]


def test_there_are_many_of_both_and_each_legal_file_has_its_hostile_neighbour() -> None:
    assert len(HOSTILE) >= 150
    assert len(BENIGN) >= 60
    assert set(names(BENIGN)) - set(names(HOSTILE)) <= {"init_zero_std", "text_comment"}


# The jail itself


@pytest.mark.parametrize(
    ("probe", "event"),
    {
        "open('CANARY', 'w')": "",
        "open('../CANARY', 'w')": "open",
        "import os; os.open('/tmp/CANARY', os.O_CREAT | os.O_RDWR)": "open",
        "open('/etc/passwd')": "open",
        "import antigravity": "import",
        "exec('1')": "exec",
        "eval(compile('1', 'x.py', 'eval'))": "exec",
        "import os; os.system('true')": "os.system",
        "import subprocess; subprocess.run(['true'])": "subprocess.Popen",
        "import os; os.fork()": "os.fork",
        "import socket; socket.socket()": "socket.__new__",
        "import ctypes; ctypes.CDLL('libc.so.6')": "ctypes.dlopen",
        "import pickle; pickle.loads(b'cos\\nsystem\\n.')": "pickle.find_class",
        "import os; os.rename('x', '/tmp/CANARY')": "os.rename",
        "import os; os.remove('/tmp/CANARY')": "os.remove",
        "import os; os.symlink('/etc', 'x')": "os.symlink",
        "import shutil; shutil.rmtree('/tmp/CANARY')": "shutil.rmtree",
    }.items(),
)
def test_the_jail_ends_what_a_model_file_must_not_do(probe: str, event: str, jail: Ask, tmp_path: pathlib.Path) -> None:
    ended = jail(tmp_path, probe=probe)
    if event:
        assert ended["code"] == 66, ended["output"]
        assert ended["output"].startswith(f"caught: {event} ")
    else:
        assert ended["code"] == 0, ended["output"]  # inside its own folder it may write


def test_a_lookup_in_the_catalog_causes_no_event(jail: Ask, tmp_path: pathlib.Path) -> None:
    probe = """
from modelzoo.catalog import functions, layers
import sys
for name in ("Linear", "torch.nn.Linear", "os.system", "torch.nn.functional.importlib", "torch.load", "x" * 10**6):
    layers.find_layer(name), functions.find_function(name)
class Spy(dict):
    def __getattr__(self, name):
        raise AssertionError(name)
layers.nn = functions.torch = functions.functional = Spy()
assert layers.find_layer("torch.nn.functional.importlib") is functions.find_function("compile") is None
assert layers.find_layer("torch.nn.ReLU") is layers.LAYERS["ReLU"]
"""
    ended = jail(tmp_path, probe=probe)
    assert ended["code"] == 0, ended["output"]


# Random files


@pytest.mark.parametrize("seeds", [(0, 150), (150, 300), (300, 450), (450, 600)])
def test_files_with_random_bytes_changed_are_refused_or_build(seeds: Any, jail: Ask, tmp_path: pathlib.Path) -> None:
    ended = jail(tmp_path, fuzz=[str(each) for each in BENIGN], seeds=seeds, seconds=60)
    assert ended["code"] == 0, ended["output"][-2000:]
    assert int(ended["output"].split()[-1]) > 10  # some of them are legal still


# Random texts


NAMES = st.sampled_from(["x", "w", "b", "n", "y", "z", "i", "fc", "relu", "training", "_", "open", "self"])
LEAVES = st.one_of(
    NAMES,
    st.integers(-3, 9).map(str),
    st.sampled_from(["0.5", "True", "None", "'a'", "x.shape[0]", "fc.weight", "w.T"]),
)
METHODS = [
    "sum",
    "mean",
    "abs",
    "add_",
    "zero_",
    "view",
    "flatten",
    "t",
    "clone",
    "detach",
    "half",
    "to",
    "sort",
    "max",
]
FUNCTIONS = [
    "relu",
    "abs",
    "cat",
    "zeros",
    "arange",
    "softmax",
    "dropout",
    "max",
    "fc",
    "float",
    "len",
    "where",
    "range",
]


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    several = st.lists(inner, min_size=1, max_size=2).map(", ".join)
    return st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+ - * / // % ** @ < == and or & is".split()), inner),
        st.builds("{}({})".format, st.sampled_from(FUNCTIONS), several),
        st.builds("{}({}, inplace=True)".format, st.sampled_from(FUNCTIONS), inner),
        st.builds("{}({}, out={})".format, st.sampled_from(FUNCTIONS), inner, inner),
        st.builds("{}.{}({})".format, inner, st.sampled_from(METHODS), st.one_of(st.just(""), inner)),
        st.builds("{}[{}]".format, inner, inner),
        st.builds("[{}]".format, several),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("(-{})".format, inner),
    )


EXPRESSIONS = st.recursive(LEAVES, grown, max_leaves=6)
TARGETS = st.sampled_from(["x", "y", "z", "w", "b", "y, z", "w[0]", "x[:]", "fc", "x.data"])
LINES = st.one_of(
    st.builds("{} = {}".format, TARGETS, EXPRESSIONS), st.builds("{} += {}".format, TARGETS, EXPRESSIONS), EXPRESSIONS
)


def nested(inner: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[str]]:
    def inside(head: str, body: list[str]) -> list[str]:
        return [head, *("  " + line for line in body)]

    heads = st.one_of(
        st.builds("if {}:".format, EXPRESSIONS),
        st.builds("while {}:".format, EXPRESSIONS),
        st.builds("for i in range({}):".format, EXPRESSIONS),
    )
    return st.one_of(st.builds(inside, heads, inner), st.builds(lambda one, two: [*one, *two], inner, inner))


PROGRAMS = st.builds(
    lambda lines, end: "\n".join([*lines, f"return {end}"]),
    st.recursive(LINES.map(lambda line: [line]), nested, max_leaves=4),
    EXPRESSIONS,
)
PIECES = [*"xwfc0123_.,:;()[]{}=+-*/%@!<>'\"\\\n\t #\u00e9\uff41\u202e", " x ", "return ", "if ", "lambda ", "for "]
ANY_TEXT = st.lists(st.sampled_from(PIECES), max_size=20).map("".join)


def run_text(text: str) -> None:
    """Builds and runs a block with a forward text; what it owns and what it is given must stay as it was."""
    block = {
        "args": {"n": 2},
        "inputs": {"x": [2, 2]},
        "layers": {"fc": "Linear(2, 2)"},
        "parameters": {"w": {"shape": [2, 2], "fill": "normal"}},
        "buffers": {"b": {"shape": [2], "fill": "ones"}},
        "forward": text,
    }
    try:
        draft = drafts.draft(block, max_steps=20)
    except ConfigError as error:
        assert error.problems
        return
    model = fill(draft, "cpu").eval()
    inputs = example_inputs(draft, "cpu")
    tensors = {**model.state_dict(keep_vars=True), **inputs}
    before = {name: (tensor.detach().clone(), tensor._version) for name, tensor in tensors.items()}
    modules = list(model.modules())
    try:
        forward.forward(draft, model, inputs, False)
    except ConfigError as error:
        assert error.problems
    after = {**model.state_dict(keep_vars=True), **inputs}
    assert all(after[name] is tensor for name, tensor in tensors.items())
    for name, (value, version) in before.items():
        assert torch.equal(after[name].detach(), value)
        assert after[name]._version == version
    assert list(model.modules()) == modules
    assert not any(module.training for module in modules)


QUIET = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@pytest.mark.filterwarnings("ignore")  # torch warns about odd calls that work
@QUIET
@given(PROGRAMS)
def test_a_program_ends_in_a_value_or_our_error_and_changes_nothing(text: str) -> None:
    run_text(text)


@pytest.mark.filterwarnings("ignore")
@QUIET
@given(
    st.one_of(ANY_TEXT, st.text(max_size=40), PROGRAMS.flatmap(lambda text: st.permutations(text[:60]).map("".join)))
)
def test_any_text_ends_in_a_value_or_our_error(text: str) -> None:
    run_text(text)


def test_programs_that_run_are_among_the_random_ones() -> None:
    """Otherwise the properties above would prove little."""
    run_text("y = relu((x @ w))\nif (x < y):\n  y = fc(x)\nreturn cat([x, y])")
