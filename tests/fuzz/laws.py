"""The laws that hold for every model file, whoever wrote it, and the judge who opens one and says which it breaks.

What a plan promises (`docs/language.md`): a model that is planned without a note is one that builds, and that takes its
example inputs in evaluation and in training, forward and, where an output depends on a parameter, backward. A value
alone may still be wrong: an index beyond an embedding, a probability above one. Such a mistake needs data, and a plan
has none.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import math
import os
import pathlib
import random
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import modelzoo
from modelzoo.cli import check, run_file, sandbox
from modelzoo.cli.checked import Checked
from modelzoo.cli.typed import Typed
from modelzoo.export.source.model import source
from modelzoo.plans.plan import Plan
from tests.fuzz import unchecked
from tests.fuzz.foreign import foreign

FILE = "model.yaml"
LARGE = 64 * 2**20
"""A model of more bytes is planned, and not built: it is legal, and would take its time."""
SLOW = 2 * 10**9
"""Nor is one run that needs more floating-point operations."""
LIMITS = sandbox.Limits(memory=4 * 10**9, seconds=10**5)
"""Those of the process are the fuzzer's own."""

OF_VALUES = re.compile(
    "out of range in self|out of bounds|did not end after|allocate|not enough memory|Class values must be|singular|be between 0 and 1|p_in >= 0"
)
"""What torch says of a value that its shape does not show."""

OF_MEMORY = re.compile("a forward pass makes a tensor of .* are there")
"""What a machine lacks is told by those who need it: a plan may be for another."""

OF_TRAINING = "this example cannot be used in training"
"""So begins a note after which evaluation still works."""


@dataclass(frozen=True)
class Broken:
    """A law that a file breaks.

    Attributes:
        stage: what was being done.
        what: the exception's type, or the law.
        frame: the innermost function of modelzoo that it came through, or what was said where there is none.
        detail: the message.
    """

    stage: str
    what: str
    frame: str
    detail: str = ""

    @property
    def kind(self) -> tuple[str, str, str]:
        return self.stage, self.what, self.frame

    def plain(self) -> dict[str, str]:
        return asdict(self)


Report = Callable[[str], None]
"""Told of every stage as it begins."""


class RefusedError(Exception):
    """A file was refused as it should be: nothing follows."""


@dataclass(frozen=True)
class Verdict:
    """What became of a file: the last stage that it passed or was refused in, and the laws that it broke."""

    reached: str
    broken: tuple[Broken, ...]


def judge(text: str, report: Report = lambda stage: None) -> Verdict:
    """Opens, plans, checks, builds, runs and exports a file in the current folder."""
    return Judge(report).verdict(text)


class Judge:
    """Opens one file in every way."""

    def __init__(self, report: Report) -> None:
        self.report, self.broken, self.reached = report, list[Broken](), ""
        self.refused: modelzoo.ConfigError | None = None

    def verdict(self, text: str) -> Verdict:
        pathlib.Path(FILE).write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
        with contextlib.suppress(RefusedError):
            self.judge()
        return Verdict(self.reached, tuple(self.broken))

    def judge(self) -> None:
        loaded = self.stage("load", lambda: modelzoo.load(FILE))
        plan = self.stage("plan", lambda: modelzoo.plan(FILE), ends=False)
        checked = self.stage("check", self.check)
        if plan is None:
            self.rightly_refused()
        self.agree(plan, checked)
        assert plan is not None
        self.stage("print", lambda: f"{plan}{loaded}")
        if sum(each.bytes for each in plan.tensors) > LARGE or (plan.flops or 0) > SLOW or plan.activations > LARGE:
            return
        model = self.stage("build", lambda: modelzoo.build(FILE), promised=True)
        if plan.inputs:
            self.stage("run", self.run)
        self.exported(model, plan, self.works(model, plan))

    def stage(self, name: str, task: Callable[[], Any], *, ends: bool = True, promised: bool = False) -> Any:
        """What a task returns; where it refuses the file or breaks a law, None or the end.

        Args:
            name: of the stage.
            task: done while the world is watched.
            ends: whether nothing follows where it fails.
            promised: whether a plan said that it works, so that to refuse it is a mistake too.
        """
        self.report(name)
        self.reached = name
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with self.unchanged(name):
                    return task()
        except modelzoo.ConfigError as error:
            self.refused = error
            self.polite(name, error)
            if promised and not OF_MEMORY.search(str(error)):
                self.tell(name, "refused after a plan", said(error), str(error))
        except MemoryError as error:
            self.tell(name, "MemoryError", frame(error), str(error))
        except Exception as error:
            self.tell(name, type(error).__name__, frame(error), message(error))
        if ends:
            raise RefusedError
        return None

    def tell(self, stage: str, what: str, where: str, detail: str = "") -> None:
        self.broken.append(Broken(stage, what, where, detail[:2_000]))

    # the laws

    def polite(self, stage: str, error: modelzoo.ConfigError) -> None:
        """Every problem says what is wrong, and where; no message shows an object of Python."""
        if not error.problems:
            self.tell(stage, "no problem", frame(error))
        for each in error.problems:
            if not (each.where or each.path):
                self.tell(stage, "no place", frame(error), each.what)
            elif not each.what.strip(". "):
                self.tell(stage, "no message", frame(error), str(each))
            elif found := re.search(
                r" at 0x[0-9a-f]{6,}|<class '|<function |should not be possible|Traceback", str(each)
            ):
                self.tell(stage, "shows Python", f"{frame(error)} {found[0][:12]}", str(each))

    @contextlib.contextmanager
    def unchanged(self, stage: str) -> Iterator[None]:
        """Nothing of the process changes, and nothing is written."""
        before = world()
        EVENTS.clear()
        try:
            yield
        finally:
            after = world()
            changed = [name for name in before if before[name] != after[name]]
            if stage != "run":
                changed += list(dict.fromkeys(EVENTS))
            for name in changed:
                self.tell(stage, "changes the process", name)
            restore(before)

    def check(self) -> Any:
        """What the command prints for programs."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            check.inside(LIMITS, FILE, Typed().json())
        told = Checked.from_json(json.loads(printed.getvalue()))
        if told.problems and not self.broken:  # else it says so too
            self.polite("check", modelzoo.ConfigError(told.problems))
        return told

    def rightly_refused(self) -> None:
        """What a plan refuses fails, or is one of the few that are refused although they may run."""

        def works(model: nn.Module, plan: Plan) -> None:
            if sum(each.bytes for each in plan.tensors) > LARGE:
                raise MemoryError
            with torch.no_grad():
                called(model.eval(), plan)
            backward(called(model.train(), plan))

        self.report("unchecked")
        error = self.refused
        if error is None:
            return
        self.reached = "explained" if unchecked.explained(error) else "refused"
        if self.reached == "refused" and unchecked.runs(FILE, works):
            self.tell("unchecked", "works although it is refused", said(error), str(error))

    def agree(self, plan: Plan | None, checked: Checked) -> None:
        """What a plan takes `check` takes too, and the other way round; ends where the file is refused."""
        if plan is None and not checked.problems and not checked.notes:
            self.tell("check", "takes what a plan refuses", "")
        wrong = [each for each in checked.problems if each.path.partition(".")[0] != "groups"]  # a plan reads none
        if plan is not None and not plan.notes and wrong:
            self.tell("check", "refuses what a plan takes", normal(wrong[0].what), str(wrong[0]))
        if plan is None:
            raise RefusedError

    def run(self) -> None:
        """The command: everything is printed and written in a folder of its own."""
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                run_file.inside(LIMITS, FILE, Typed(options={"backward": True}).json())
            except modelzoo.ConfigError as error:
                self.polite("run", error)

    def works(self, model: nn.Module, plan: Plan) -> Any:
        """A model takes the shapes it was planned for, evaluated and in training; returns what it does evaluated."""
        if not plan.inputs:
            return None
        certain = not plan.notes
        model.eval()
        with torch.no_grad():
            evaluates = all(note.startswith(OF_TRAINING) for note in plan.notes)
            output = self.step("eval", lambda: called(model, plan), evaluates)
        model.train()
        trained = self.step("train", lambda: called(model, plan), certain)
        if not isinstance(trained, Exception):
            self.step("backward", lambda: backward(trained), certain)
        return output

    def step(self, stage: str, task: Callable[[], Any], certain: bool) -> Any:
        """What a task returns, or the exception that ended it; a law is broken where the plan was certain."""
        self.report(stage)
        self.reached = stage
        try:
            return task()
        except Exception as error:
            if certain and not OF_VALUES.search(str(error)):
                self.tell(stage, type(error).__name__, normal(message(error)), message(error))
            return error

    def exported(self, model: nn.Module, plan: Plan, output: Any) -> None:
        """The source is Python for torch alone, and the same model."""
        text = self.stage("source", lambda: source(FILE))
        self.report("python")
        self.reached = "python"
        try:
            strange = foreign(text)
        except (SyntaxError, ValueError, RecursionError) as error:
            self.tell("python", type(error).__name__, normal(str(error)), f"{error}\n{text}")
            return
        if strange:
            self.tell("python", "foreign", strange[0][:40], f"{strange}\n{text}")
            return
        try:
            space: dict[str, Any] = {"__name__": "written"}
            exec(compile(text, "model.py", "exec"), space)
            other = space["Model"]().eval()
            model.eval()
            other.load_state_dict(model.state_dict())
            if list(other.state_dict()) != list(model.state_dict()):
                self.tell("python", "other keys", "", text)
            if plan.inputs and not isinstance(output, Exception):
                with torch.no_grad():
                    if not equal(called(other, plan, model), called(model, plan)):
                        self.tell("python", "another output", "", text)
        except Exception as error:
            self.tell("python", type(error).__name__, normal(message(error)), f"{message(error)}\n{text}")


# --- what is called ------------------------------------------------------------------------------------------------


def called(model: nn.Module, plan: Plan, written_as: nn.Module | None = None) -> Any:
    """The output for inputs as planned: normal numbers, and zeros where they are integers.

    Args:
        model: takes them.
        plan: names their shapes.
        written_as: of the source of a model, that model: its inputs come in the same order.
    """
    generator = torch.Generator().manual_seed(0)
    inputs = {}
    for each in plan.inputs:
        dtype = getattr(torch, each.dtype)
        floating = dtype.is_floating_point or dtype.is_complex
        inputs[each.name] = (
            torch.randn(each.shape, generator=generator).to(dtype) if floating else torch.zeros(each.shape, dtype=dtype)
        )
    torch.manual_seed(0)
    if isinstance(model, nn.Sequential) or not plan.modules[0].block:
        return model(*inputs.values())
    taken = inspect.signature(model.forward).parameters  # a source may have to call an input by another name
    given = taken if written_as is None else inspect.signature(written_as.forward).parameters
    return model(**{name: inputs[each] for name, each in zip(taken, given, strict=True) if each in inputs})


def backward(output: Any) -> None:
    parts = [each for each in tensors(output) if each.is_floating_point() and each.requires_grad]
    if parts:
        torch.stack([each.sum().double() for each in parts]).sum().backward()


def tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from tensors(each)


def equal(one: Any, other: Any) -> bool:
    """Whether two outputs are the same to the bit; NaN is NaN."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return (
            one.dtype == other.dtype and one.shape == other.shape and torch.equal(*map(torch.nan_to_num, (one, other)))
        )
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[name], other[name]) for name in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and bool(one == other)


# --- the process ---------------------------------------------------------------------------------------------------

EVENTS: list[str] = []
"""What was written, started or opened since the stage began."""

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
NEVER = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.link", "os.chmod", "os.putenv", "os.fork")
NEVER += ("os.exec", "os.system", "os.posix_spawn", "subprocess.Popen", "socket.connect", "ctypes.dlopen", "os.kill")
NEVER += ("sys.setprofile", "sys.settrace", "signal.pthread_kill", "shutil.rmtree")


def watch() -> None:
    """From here on EVENTS tells what this process does to others; nothing is prevented."""

    def hook(event: str, details: tuple[Any, ...]) -> None:
        if event in NEVER:
            EVENTS.append(event)
        elif event == "open":
            path, mode, flags = details
            if path != FILE and ((flags or 0) & WRITES or any(each in (mode or "") for each in "wax+")):
                EVENTS.append(f"writes {pathlib.Path(str(path)).name}")

    sys.addaudithook(hook)


def world() -> dict[str, Any]:
    """What a model file must leave as it is."""
    numbers = np.random.get_state()
    return {
        "torch's generator": torch.get_rng_state().numpy().tobytes(),
        "numpy's generator": (numbers[1].tobytes(), numbers[2:]),
        "Python's generator": random.getstate(),
        "default dtype": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "default device": str(torch.get_default_device()),
        "threads": torch.get_num_threads(),
        "warnings": list(warnings.filters),
        "environment": dict(os.environ),
        "folder": os.getcwd(),  # noqa: PTH109
        "recursion limit": sys.getrecursionlimit(),
        "autocast": torch.is_autocast_enabled("cpu"),
    }


def restore(before: dict[str, Any]) -> None:
    """For the next stage: what one broke is told once."""
    torch.set_rng_state(torch.frombuffer(bytearray(before["torch's generator"]), dtype=torch.uint8))
    random.setstate(before["Python's generator"])
    torch.set_default_dtype(before["default dtype"])
    torch.set_grad_enabled(before["gradients"])
    warnings.filters[:] = before["warnings"]  # type: ignore[index]
    os.chdir(before["folder"])
    sys.setrecursionlimit(before["recursion limit"])


# --- who said it ---------------------------------------------------------------------------------------------------

PACKAGE = pathlib.Path(modelzoo.__file__).parent


def frame(error: BaseException) -> str:
    """The innermost function of modelzoo that an exception came through."""
    inside = [
        f"{path.relative_to(PACKAGE)}:{each.name}"
        for each in traceback.extract_tb(error.__traceback__)
        if (path := pathlib.Path(each.filename)).is_relative_to(PACKAGE)
    ]
    return inside[-1] if inside else normal(message(error))


def said(error: modelzoo.ConfigError) -> str:
    return normal(error.problems[0].what) if error.problems else ""


def message(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip()


def normal(text: str) -> str:
    """A message without what differs from file to file."""
    first = (text.strip().splitlines() or [""])[0]
    return re.sub(r"'[^']*'|\"[^\"]*\"|\[[^]]*\]|[-\d.,()]+", "_", first)[:90]
