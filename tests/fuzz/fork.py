"""Judges files in child processes: torch is imported once, each batch is a fork with limits, what it says is streamed."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import pathlib
import re
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tests.fuzz import laws
from tests.fuzz.laws import Broken, Verdict
from tests.helpers.jail import WARM

SECONDS = 20
"""Of processor time that one file may take."""
WAIT = 300
"""Of the clock without a word: something sleeps that should not."""
MEMORY = 4 * 10**9
"""That a child may take beyond what it starts with."""
BATCH = 20


@dataclass(frozen=True)
class Judged:
    """What became of a file, and the processor time that it took."""

    text: str
    verdict: Verdict
    seconds: float


def warm() -> None:
    """Lets everything be imported that torch imports late; children then share it."""
    torch.set_num_threads(1)  # before anything is computed: threads do not survive a fork
    sys.dont_write_bytecode = True
    with folder():
        laws.judge(WARM)
        laws.judge("inputs: {x: [2, 4]}\nlayers: ['Linear(5, 4)']")
    laws.watch()


@contextlib.contextmanager
def folder() -> Iterator[pathlib.Path]:
    """An empty folder to be in; whatever is in it goes."""
    here = pathlib.Path.cwd()
    made = pathlib.Path(tempfile.mkdtemp(prefix="fuzz-"))
    os.chdir(made)
    try:
        yield made
    finally:
        os.chdir(here)
        shutil.rmtree(made, ignore_errors=True)


def judged(texts: Sequence[str], seconds: int = SECONDS) -> Iterator[Judged]:
    """Judges files in their order. A child that dies is one find, and the next goes on behind it."""
    rest = list(texts)
    while rest:
        for each in _batch(rest[:BATCH], seconds):
            yield each
            rest = rest[1:]


def _batch(texts: Sequence[str], seconds: int) -> Iterator[Judged]:
    """Judges files in one child, as far as it comes."""
    with tempfile.TemporaryFile("w+") as last_words:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _child(texts, seconds, writing, last_words)
        os.close(writing)
        number, stage, status = 0, "start", None
        try:
            for line in _lines(reading):
                told = json.loads(line)
                if "stage" in told:
                    stage = told["stage"]
                    continue
                broken = tuple(Broken(**each) for each in told["broken"])
                yield Judged(texts[number], Verdict(told["reached"], broken), told["seconds"])
                number, stage = number + 1, "start"
            status = os.waitpid(child, 0)[1]
        finally:
            os.close(reading)
            if status is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
        if number < len(texts):
            last_words.seek(0)
            death = _death(status, stage, last_words.read())
            yield Judged(texts[number], Verdict(stage, () if _is_its_own(death) else (death,)), float(seconds))


def _death(status: int, stage: str, last_words: str) -> Broken:
    """How a child ended, and where it was."""
    code = os.waitstatus_to_exitcode(status)
    name = signal.Signals(-code).name if code < 0 and -code in set(signal.Signals) else f"exit code {code}"
    files = re.findall(r'File "(.+)", line \d+ in (\w+)', last_words)
    inside = [
        f"{pathlib.Path(file).relative_to(laws.PACKAGE)}:{function}"
        for file, function in files
        if pathlib.Path(file).is_relative_to(laws.PACKAGE)
    ]
    return Broken(stage, name, inside[0] if inside else "", last_words[:2_000])


def _is_its_own(death: Broken) -> bool:
    """Whether a model's own loop takes long in `run FILE`, which ends it by a limit that is off here."""
    return (
        death.stage == "run"
        and death.what == "SIGXCPU"
        and re.search(r'File "<\S+ [0-9a-f]{8}>"', death.detail) is not None
    )


def _lines(reading: int) -> Iterator[str]:
    """Whole lines of a pipe, until its other end is closed or says nothing for long."""
    rest = b""
    while select.select([reading], [], [], WAIT)[0]:
        piece = os.read(reading, 2**16)
        if not piece:
            return
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line.decode() for line in lines)


def _child(texts: Sequence[str], seconds: int, writing: int, last_words: Any) -> None:
    """What the child does; it never returns."""
    code = 70
    try:
        silent = os.open(os.devnull, os.O_RDWR)
        for each in (0, 1, 2):
            os.dup2(silent, each)
        faulthandler.enable(last_words, all_threads=False)
        faulthandler.register(signal.SIGXCPU, last_words, all_threads=False, chain=True)
        memory = _virtual() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        def say(**told: Any) -> None:
            os.write(writing, json.dumps(told).encode() + b"\n")

        for text in texts:
            before = time.process_time()
            allowed = int(before) + 1 + seconds
            resource.setrlimit(resource.RLIMIT_CPU, (allowed, resource.RLIM_INFINITY))
            with folder():
                verdict = laws.judge(text, lambda stage: say(stage=stage))
            broken = [each.plain() for each in verdict.broken]
            say(reached=verdict.reached, broken=broken, seconds=time.process_time() - before)
        code = 0
    except BaseException:
        faulthandler.dump_traceback(last_words, all_threads=False)
        import traceback

        traceback.print_exc(file=last_words)
    finally:
        last_words.flush()
        os._exit(code)


def _virtual() -> int:
    """The address space of this process, in bytes."""
    found = re.search(r"^VmSize:\s*(\d+) kB", pathlib.Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 2**33
