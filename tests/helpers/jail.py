"""A server that opens model files, each in a forked process that may do nothing but that: `python tests/helpers/jail.py`.

One warm process has imported everything. For each request, a line of JSON on stdin, it forks a child with limits and an
audit hook, and answers with a line of JSON: the exit code and what was printed. An event that no model file may cause
ends the child at once with exit code 66.
"""

from __future__ import annotations

import contextlib
import json
import linecache
import os
import pathlib
import random
import sys
import tempfile
import time
import traceback
from typing import Any

import torch

from modelzoo import api
from modelzoo.cli import run_file, sandbox
from modelzoo.cli.guard import guarded
from modelzoo.cli.typed import Typed
from modelzoo.config import config, modelfile
from modelzoo.errors import ConfigError
from modelzoo.plans import draft

WAIT = 60  # of the clock: others may use the machine
PROCESSOR = 10
MEMORY = 10**9
CAUGHT = 66
FORBIDDEN = (
    "code.__new__ cpython. ctypes. ftplib. gc. glob. http. import imaplib. marshal. mmap. msvcrt. nntplib. os.exec "
    "os.fork os.forkpty os.kill os.killpg os.posix_spawn os.putenv os.setxattr os.spawn os.startfile os.system "
    "os.unsetenv pickle. poplib. pty. resource. setopencodehook shutil.copy. shutil.move signal. smtplib. socket. sqlite3. subprocess. "
    "sys.addaudithook sys.setprofile sys.settrace syslog. telnetlib. urllib. webbrowser. winreg. builtins.input"
).split()
CHANGES = (
    "os.chmod",
    "os.chown",
    "os.link",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
    "shutil.rmtree",
)
CODE = tuple(str(pathlib.Path(each).resolve()) for each in {sys.prefix, sys.base_prefix, *sys.path} if each)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def guard(folder: str, file: str) -> None:
    """From here on nothing happens in this process but what a model file may cause."""
    readable = (folder, os.path.realpath(file), "/proc/meminfo", "/proc/self/status", *CODE)

    def inside(path: Any, places: tuple[str, ...]) -> bool:
        if isinstance(path, int) or path is None:
            return True
        real = os.path.realpath(os.fsdecode(path))
        return any(real == place or real.startswith(place + os.sep) for place in places)

    def hook(event: str, details: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = details
            writes = bool((flags or 0) & WRITES) or any(each in (mode or "") for each in "wax+")
            allowed = inside(path, (folder,) if writes else readable)
        elif event == "exec":
            name = details[0].co_filename
            allowed = name == "<formula>" or (name.startswith("<") and name in linecache.cache)
        elif event in CHANGES:
            allowed = all(inside(each, (folder,)) for each in details if isinstance(each, (str, bytes, os.PathLike)))
        else:
            allowed = not any(event == each or (each.endswith(".") and event.startswith(each)) for each in FORBIDDEN)
        if not allowed:
            os.write(2, f"caught: {event} {str(details)[:300]}\n".encode())
            os._exit(CAUGHT)

    sys.addaudithook(hook)


def jailed(request: dict[str, Any]) -> int:
    """What a child does; returns its exit code."""
    given = sandbox.Limits(memory=MEMORY, seconds=request.get("seconds", PROCESSOR))
    file = request.get("file", "")
    if "probe" in request:
        code = compile(request["probe"], "<probe>", "exec")
        linecache.cache["<probe>"] = (0, None, [], "<probe>")
        guard(request["folder"], file)
        exec(code, {})
        return 0
    sandbox.impose(given)
    guard(request["folder"], file)
    if "fuzz" in request:
        return fuzz(request["fuzz"], request["seeds"], request["folder"])
    return guarded(lambda: run_file.inside(given, file, Typed().json()))


def fuzz(files: list[str], seeds: list[int], folder: str) -> int:
    """Opens and builds each file with a few bytes changed; whatever is no error of ours ends it."""
    path = pathlib.Path(folder, "fuzz.yaml")
    contents = [pathlib.Path(each).read_bytes() for each in files]
    built = 0
    for seed in range(*seeds):
        path.write_bytes(mutated(random.Random(seed), contents))
        try:
            opened = config.from_mapping(path)
            api.build(opened.model, opened.init, memory="50MB")
            built += 1
        except ConfigError as error:
            str(error).encode()
        except BaseException:
            print(f"seed {seed}:\n{path.read_bytes()!r}", file=sys.stderr)
            raise
    print(built)
    return 0


def mutated(chance: random.Random, contents: list[bytes]) -> bytes:
    """A file with a few bytes, lines or pieces of another file changed."""
    content = bytearray(chance.choice(contents))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(content) + 1)
        end = min(len(content), at + chance.randint(1, 12))
        match chance.randrange(6):
            case 0:
                content[at:end] = b""
            case 1:
                content[at:at] = bytes([chance.randrange(256)])
            case 2:
                content[at:end] = chance.choice(
                    [b"*", b"&a ", b"<<: ", b"!", b"- ", b": ", b"{", b"]", b"'", b"${", b"}"]
                )
            case 3:
                other = chance.choice(contents)
                start = chance.randrange(len(other) + 1)
                content[at:at] = other[start : start + chance.randint(1, 40)]
            case 4:
                content[at:at] = chance.choice(
                    [b"_ref_", b"_repeat_", b"null", b"-1", b"1e9", b"99999", b"=", b"model"]
                )
            case _:
                lines = bytes(content).split(b"\n")
                chance.shuffle(lines)
                content = bytearray(b"\n".join(lines))
    return bytes(content)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Forks a child for a request and waits for it."""
    with tempfile.TemporaryFile("w+b") as output:
        start = time.monotonic()
        child = os.fork()
        if child == 0:
            code = 70
            try:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                os.chdir(request["folder"])
                code = jailed(request)
            except BaseException:
                traceback.print_exc()
            finally:
                with contextlib.suppress(BaseException):
                    sys.stdout.flush()
                os._exit(code)
        timeout = request.get("timeout", WAIT)
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                break
            if time.monotonic() - start > timeout:
                os.kill(child, 9)
                status = os.waitpid(child, 0)[1]
                break
            time.sleep(0.001)
        output.seek(0)
        text = output.read().decode(errors="replace")
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        limit = sandbox.Limits(memory=MEMORY, seconds=request.get("seconds", PROCESSOR))
        code, text = 1, f"{text}\n{sandbox.ended(-code, limit, request.get('file', ''))}"
    return {"code": code, "output": text, "seconds": time.monotonic() - start}


WARM = """
args: {n: 2, act: GELU}
inputs: {x: {shape: [2, 4], fill: normal}}
layers:
  a: Linear(out_features=4)
  b: {layers: {c: "Linear(4, 4 * n)", d: act}, _repeat_: 1}
  e: {_target_: Linear, in_features: 8, out_features: 4, _if_: n > 1}
parameters: {p: {shape: [4], fill: "uniform(-1, n)"}}
buffers: {q: {shape: [4, 4], fill: "w = normal()\\nw[0] = 0\\nreturn w"}}
forward: |
  x = a(x) @ q + p
  y = e(b(x))
  while y.abs().sum() > 1:
    y = y / 2
  if y.sum() > 0:
    y = y * 2
  for i in range(n):
    y = y + arange(4)
  return softmax(cat([y, y]), dim=-1)
"""


def warm(folder: str) -> None:
    """Lets everything be imported that torch imports late."""
    path = pathlib.Path(folder, "warm.yaml")
    path.write_text(WARM)
    here = os.getcwd()  # noqa: PTH109
    os.chdir(folder)
    given = sandbox.Limits(memory=MEMORY, seconds=PROCESSOR)
    with open(os.devnull, "w") as sink, contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):  # noqa: PTH123
        code = guarded(lambda: run_file.inside(given, str(path), Typed(options={"backward": True}).json()))
        assert code == 0
        path.write_text("inputs: {x: [2, 4]}\nlayers: ['Linear(5, 4)']")
        assert guarded(lambda: run_file.inside(given, str(path), Typed().json())) == 1
    os.chdir(here)
    draft.draft(modelfile.load(path)["model"] | {"layers": ["Linear(4, 4)"]}, device="meta")


def main() -> None:
    """Answers requests until stdin ends."""
    torch.set_num_threads(1)  # before anything is computed: threads do not survive a fork
    with tempfile.TemporaryDirectory() as folder:
        warm(folder)
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
