"""Planning, checking and building write nothing, load no compiler, and leave torch's own as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

START = """
import sys
import torch, modelzoo
mlp = {"inputs": {"x": [2, 4]}, "layers": ["Linear(4, 8)", "GELU", "LayerNorm(8)", "LSTM(8, 8)"]}
wrong = {"inputs": {"x": [2, 4]}, "forward": "logsumexp(x, (0, 1, 0))"}
def refused(call):
    try: call()
    except modelzoo.ConfigError as error: print(error)
    else: raise AssertionError
"""

DONE = {
    "a plan": "modelzoo.plan(mlp)",
    "a plan of a fill of a large tensor": "modelzoo.plan({'layers': ['Linear(4096, 4096)']}, {'all': {'param': 'weight', 'fill': 'normal() * 2'}, 'bias': {'param': 'bias', 'fill': 0}})",
    "a plan that fails": "refused(lambda: modelzoo.plan(wrong))",
    "a build": "modelzoo.build(mlp)",
    "a build that fails": "refused(lambda: modelzoo.build(wrong))",
    "a build on meta": "modelzoo.build(mlp, device='meta')",
    "a summary": "modelzoo.summary(modelzoo.build(mlp))",
    "a summary of a module on meta": "modelzoo.summary(torch.nn.Linear(4, 4, device='meta'), torch.zeros(2, 4, device='meta'))",
    "a picture": "from modelzoo.export.graph.dataflow import graph; graph(mlp)",
    "a check": f"from modelzoo.__main__ import main; main(['check', {str(ROOT / 'conf/model/nested.yaml')!r}])",
    "a check of configs": "from modelzoo.__main__ import main; assert main(['check', 'gpt2', 'resnet18']) == 0",
}


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs code where temporary files would lie in `tmp`, and what is kept for the next time in `home`."""
    for name in ("tmp", "home"):
        (folder / name).mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "TORCHINDUCTOR_CACHE_DIR"}
    environment |= {"TMPDIR": str(folder / "tmp"), "HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", START + code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("what", DONE)
def test_nothing_is_written_and_no_compiler_is_loaded(what: str, tmp_path: Path) -> None:
    done = python(DONE[what] + "\nassert 'torch._dynamo' not in sys.modules", tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == ["home", "tmp"]


def test_a_compiler_that_is_there_already_stays(tmp_path: Path) -> None:
    code = "import torch._dynamo as before; modelzoo.plan(mlp); assert sys.modules['torch._dynamo'] is before"
    assert python(code, tmp_path).stderr == ""


def test_a_model_is_compiled_after_it_was_planned(tmp_path: Path) -> None:
    code = """
modelzoo.plan(mlp)
refused(lambda: modelzoo.plan(wrong))
import gc
assert not [each for each in gc.get_objects() if type(each) is type(refused) and hasattr(each, "__dynamo_disable")]
torch.zeros(2, 3, device="meta").logsumexp(0)
assert type(sys.modules["torch._dynamo"]) is type(sys)
assert torch.compile(lambda x: x.logsumexp(0) + 1, backend="eager", fullgraph=True)(torch.zeros(2, 3)).shape == (3,)
"""
    done = python(code, tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_layer_of_ones_own_may_ask_for_the_compiler_while_it_is_planned(tmp_path: Path) -> None:
    code = """
from modelzoo import register
@register.layer
class Compiled(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.compile(torch.nn.ReLU(), backend="eager")
        self.other = torch.compiler.disable(lambda x: x.relu())
    def forward(self, x):
        return self.other(self.inner(x))
plan = modelzoo.plan({"inputs": {"x": [2, 4]}, "layers": ["Compiled", "Linear(4, 2)"]})
assert plan.modules[0].output == (2, 2)
assert type(sys.modules["torch._dynamo"]) is type(sys)
"""
    done = python(code, tmp_path)
    assert done.returncode == 0, done.stderr
