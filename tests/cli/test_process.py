"""How a command ends: whatever becomes of its output, its directories and its memory, in words and with its files."""

from __future__ import annotations

import errno
import io
import os
import pathlib
import subprocess
import sys
import textwrap
import threading

import pytest

from modelzoo import system
from modelzoo.cli import stdio
from modelzoo.errors import ConfigError, Problem

ROOT = pathlib.Path(__file__).parents[2]
full = pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="needs /dev/full")
posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")

TASK = """
    import os, pathlib, subprocess, sys
    from modelzoo.cli.guard import guarded

    def task():
        print("told " * 100_000)
        sys.stdout.flush()
        print("problem", file=sys.stderr)
        pathlib.Path("result.txt").write_text("whole")
        return 0

    sys.exit(guarded(task))
"""


def shell(folder: pathlib.Path, line: str, code: str = TASK, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a line of a shell in which `$TASK` is a Python program."""
    (folder / "task.py").write_text(textwrap.dedent(code))
    told = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHON": sys.executable, "ROOT": str(ROOT)}
    environment = {**os.environ, **told, "TASK": f"{sys.executable} {folder / 'task.py'}", **variables}
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def message(error: Exception, **about: str) -> str:
    found = system.told(error, **about)
    assert found is not None
    return str(found)


# -- standard output and error ----------------------------------------------------------------------------------------


def test_a_reader_that_leaves_ends_no_work(tmp_path: pathlib.Path) -> None:
    done = shell(tmp_path, "$TASK | head -c 4; echo ${PIPESTATUS[0]}")
    assert (done.stdout, done.stderr) == ("told1\n", "problem\n")
    assert (tmp_path / "result.txt").read_text() == "whole"


@pytest.mark.parametrize("reader", ["| head -1", "> /dev/full"])
def test_what_only_prints_ends_when_nobody_reads_on(tmp_path: pathlib.Path, reader: str) -> None:
    code = """
        import itertools, sys
        from modelzoo.cli.guard import guarded

        def task():
            for number in itertools.count():
                try:
                    print(number)
                except Exception:
                    pass

        sys.exit(guarded(task, patient=False))
    """
    done = shell(tmp_path, f"$TASK {reader}; echo ${{PIPESTATUS[0]}}", code)
    assert done.stdout.splitlines()[-1] == "1"
    told = "Standard output cannot be written: No space left on device.\n"
    assert done.stderr == (told if "full" in reader else "")


@full
def test_a_full_disk_behind_the_output_is_told_in_one_line_when_the_work_is_done(tmp_path: pathlib.Path) -> None:
    done = shell(tmp_path, "$TASK > /dev/full")
    assert (done.returncode, done.stderr) == (
        1,
        "problem\nStandard output cannot be written: No space left on device.\n",
    )
    assert (tmp_path / "result.txt").read_text() == "whole"


@posix
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_without_an_output_the_work_is_done(tmp_path: pathlib.Path, closed: str) -> None:
    done = shell(tmp_path, f"$TASK {closed}")
    assert done.returncode == 0
    assert (tmp_path / "result.txt").read_text() == "whole"
    assert done.stderr == ("" if "2>&-" in closed else "problem\n")


@posix
def test_what_a_library_prints_where_the_output_was_closed_reaches_no_file(tmp_path: pathlib.Path) -> None:
    code = """
        import os, sys
        from modelzoo.cli.guard import guarded

        def task():
            with open("result.txt", "wb", buffering=0) as file:
                os.write(1, b"noise")
                file.write(b"whole")
            return os.system("echo noise")

        sys.exit(guarded(task))
    """
    assert shell(tmp_path, "$TASK >&-", code).returncode == 0
    assert (tmp_path / "result.txt").read_text() == "whole"


@full
def test_nobody_who_can_read_of_a_problem_is_no_problem(tmp_path: pathlib.Path) -> None:
    assert shell(tmp_path, "$TASK > /dev/null 2> /dev/full").returncode == 0
    assert (tmp_path / "result.txt").read_text() == "whole"


@full
@pytest.mark.parametrize(
    "line",
    [
        "$PYTHON $ROOT/run.py --help",
        "$PYTHON $ROOT/run.py --cfg job",
        "$PYTHON -m modelzoo",
        "$PYTHON -m modelzoo schema --help",
    ],
)
def test_help_that_cannot_be_written_says_so(tmp_path: pathlib.Path, line: str) -> None:
    done = shell(tmp_path, f"{line} > /dev/full")
    assert (done.returncode, done.stderr) == (1, "Standard output cannot be written: No space left on device.\n")


def test_a_letter_that_the_output_does_not_have_is_escaped(tmp_path: pathlib.Path) -> None:
    code = """
        import sys
        from modelzoo.cli.guard import guarded

        def task():
            print("caf\\xe9", "\\udcff")
            print("caf\\xe9", "\\udcff", file=sys.stderr)
            return 0

        sys.exit(guarded(task))
    """
    done = shell(tmp_path, "$TASK", code, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout, done.stderr) == (0, "caf\\xe9 \\udcff\n", "caf\\xe9 \\udcff\n")


def test_an_output_that_does_not_block_is_waited_for() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    found: list[bytes] = []

    def read() -> None:
        with io.FileIO(reader) as file:
            found.append(file.readall())

    thread = threading.Thread(target=read)
    with io.FileIO(writer, "w") as raw:
        outlet, left = stdio.Outlet(raw), memoryview(b"x" * 1_000_000)
        left = left[outlet.write(left) :]
        thread.start()
        while left:
            left = left[outlet.write(left) :]
    thread.join()
    assert (outlet.refused, len(found[0])) == (None, 1_000_000)


def test_the_streams_are_afterwards_what_they_were() -> None:
    before = sys.stdout, sys.stderr
    with stdio.outlets():
        pass
    assert (sys.stdout, sys.stderr) == before


def test_who_reads_only_the_first_line_of_a_run_gets_all_its_files(tmp_path: pathlib.Path) -> None:
    (tmp_path / "x.yaml").write_text("inputs: {x: [2, 4]}\nlayers: ['Linear(4, 2)']\n")
    done = shell(tmp_path, "$PYTHON -m modelzoo run x.yaml 'export=[source,graph]' | sed q; echo ${PIPESTATUS[0]}")
    assert done.stderr == ""
    (folder,) = (tmp_path / "outputs").glob("*/*")
    assert sorted(each.name for each in folder.iterdir()) == [
        "graph.mmd",
        "model.py",
        "model.yaml",
        "parameters.json",
        "parameters.safetensors",
    ]


# -- what the system refuses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FileExistsError(errno.EEXIST, "File exists", "/"), "/\n  It cannot be made: File exists. Type x=DIR"),
        (OSError(errno.EROFS, "Read-only file system", "no"), "no\n  It cannot be made: Read-only file system. Type x=DIR"),
        (FileNotFoundError(errno.ENOENT, "Not there", "no"), "no\n  It cannot be made: Not there. Type x=DIR"),
        (PermissionError(errno.EACCES, "Permission denied", b"/"), "/\n  It cannot be opened: Permission denied."),
        (OSError(errno.EMFILE, "Too many open files"), "x.yaml\n  The system refuses it: Too many open files."),
        (OSError("odd"), "x.yaml\n  The system refuses it: odd."),
        (OSError(errno.ENOMEM, "Cannot allocate memory", "x"), "x.yaml\n  There is no memory left."),
        (MemoryError(), "x.yaml\n  There is no memory left."),
        (RuntimeError("can't allocate memory"), "x.yaml\n  There is no memory left."),
        (RecursionError(), "x.yaml\n  It is nested more deeply than Python can follow."),
        (UnicodeDecodeError("utf-8", b"a\xff", 1, 2, ""), "x.yaml\n  This is not UTF-8: it has the byte 0xff."),
        (UnicodeEncodeError("utf-8", "a\udcff", 1, 2, ""), "x.yaml\n  UTF-8 cannot write the letter '\\udcff'."),
    ],
)  # fmt: skip
def test_what_the_system_refuses_is_said_in_words(error: Exception, text: str) -> None:
    assert message(error, where="x.yaml", elsewhere="Type x=DIR") == text


def test_a_file_that_is_missing_where_none_was_to_be_made_cannot_be_opened() -> None:
    error = FileNotFoundError(errno.ENOENT, "No such file or directory", "no")
    assert message(error) == "no\n  It cannot be opened: No such file or directory."


def test_problems_stay_as_they_are_and_mistakes_of_a_program_are_none() -> None:
    error = ConfigError([Problem(what="It is wrong.")])
    assert system.told(error) is error
    assert system.told(KeyError("allocate")) is None
    assert system.told(RuntimeError("odd")) is None


@posix
@pytest.mark.parametrize(
    "line",
    ["$PYTHON $ROOT/run.py model=mlp", "$PYTHON $ROOT/run.py -m model=mlp,nested", "$PYTHON -m modelzoo list fills"],
)
def test_a_working_directory_that_is_gone_is_told(tmp_path: pathlib.Path, line: str) -> None:
    done = shell(tmp_path, f"mkdir gone && cd gone && rmdir ../gone && {line}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "The working directory does not exist any more. Go to another one: cd DIR\n"


@pytest.mark.parametrize("command", ["run", "check"])
def test_where_no_outputs_can_be_made_a_file_is_checked_all_the_same(tmp_path: pathlib.Path, command: str) -> None:
    (tmp_path / "x.yaml").write_text("inputs: {x: [2, 4]}\nlayers: ['Linear(4, 2)']\n")
    (tmp_path / "outputs").touch()
    done = shell(tmp_path, f"$PYTHON -m modelzoo {command} x.yaml")
    told = f"{tmp_path}/outputs/"
    if command == "check":
        assert (done.returncode, done.stderr) == (0, "")
    else:
        first, second = done.stderr.splitlines()
        assert (done.returncode, first[: len(told)]) == (1, told)
        assert second == "  It cannot be made: Not a directory. Go to another directory: cd DIR"


# -- interrupts -------------------------------------------------------------------------------------------------------


def test_an_interrupted_sweep_ends_with_its_table(tmp_path: pathlib.Path) -> None:
    code = """
        import os, signal, sys, types

        def run(config, directory):
            if config.options["seed"] == 2:
                os.kill(os.getpid(), signal.SIGINT)
            return {}

        stub = types.ModuleType("modelzoo.run.job")
        stub.run = run
        sys.modules["modelzoo.run.job"] = stub
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from modelzoo.cli import main
        sys.argv = ["run.py", "-m", "seed=1,2,3", "hydra.sweep.dir=sweep"]
        sys.exit(main())
    """
    done = shell(tmp_path, "$TASK", code)
    assert (done.returncode, done.stderr) == (130, "")
    assert done.stdout.startswith("1/3  seed=1  done in 0.00 s\n2/3  seed=2  died: it was interrupted.\n")
    assert "3 jobs, 1 done, 1 died, 1 not run\n" in done.stdout
    assert (tmp_path / "sweep" / "summary.csv").is_file()


def test_an_interrupt_while_a_child_imports_is_told_by_its_code_alone(tmp_path: pathlib.Path) -> None:
    (tmp_path / "torch.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    (tmp_path / "x.yaml").write_text("layers: ['Linear(4, 2)']\n")
    code = """
        import signal, sys
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.path.insert(0, ".")
        from modelzoo.cli.sandbox import child
        sys.exit(child(sys.argv[1]))
    """
    message = (
        '{"task": "modelzoo.cli.run_file:inside", "limits": {"memory": 1, "seconds": 1}, "arguments": ["x.yaml", {}]}'
    )
    done = shell(tmp_path, f"$TASK '{message}'", code)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_an_error_that_is_its_own_cause_is_looked_at_once():
    error, other = RuntimeError("one"), RuntimeError("another")
    error.__cause__, other.__context__ = other, error
    assert not system.out_of_memory(error)
    other.__context__ = MemoryError()
    assert system.out_of_memory(error)
