"""The table of options: what `conf/config.yaml` says of each, and all that is wrong with them told at once."""

from __future__ import annotations

import pathlib
from dataclasses import asdict

import pytest
import yaml

from modelzoo.__main__ import main
from modelzoo.config.search_path import conf_directory
from modelzoo.plans.options import NAMES, Options


def test_the_table_has_the_options_that_ship_in_their_order_with_their_defaults() -> None:
    written = yaml.safe_load((conf_directory() / "config.yaml").read_text("utf-8"))
    options = {name: value for name, value in written.items() if name not in ("defaults", "hydra")}
    defaults = asdict(Options())
    assert [*options] == [each for each in NAMES if each not in ("groups", "parallel")]  # groups of configs
    assert {name: [*value] if isinstance(value, tuple) else value for name, value in defaults.items()} == {
        **options,
        "load": None,
        "groups": None,
        "parallel": None,
        "loss": None,
        "wrong": [],
    }
    assert Options.of({"load": options["load"]}) == Options()


@pytest.mark.parametrize("command", ["check", "run", "source"])
def test_all_wrong_options_are_told_together_and_with_what_is_wrong_with_the_model(
    command: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pathlib.Path("m.yaml").write_text('layers: ["Linaer(2, 4)"]\n')
    typed = ["seed=-1", "threads=0", "resume=2", "dtype=flaot16", "load=3", "load.rename=a"]
    assert main([command, "m.yaml", *typed]) == 1
    told = (
        "command line  seed=-1\n  seed must be an integer of 0 or more, not -1. Type seed=0.\n"
        "command line  threads=0\n  threads must be a positive integer, not 0. Type threads=2.\n"
        "command line  resume=2\n  resume must be true or false, not 2. Type resume=true.\n"
        "command line  dtype=flaot16\n  there is no floating dtype 'flaot16'. Did you mean 'float16'?\n"
        "command line  load.rename=a\n"
        "  load.rename must be a mapping from regular expressions to texts, not 'a'. Type 'load.rename={OLD: NEW}'.\n"
        "command line  load=3\n  load must be the path of a file, not 3. Type load=FILE.\n"
        "m.yaml:1:11  model.layers.0\n  there is no layer 'Linaer'. Did you mean 'Linear'?\n"
    )
    assert capfd.readouterr().err.endswith(told)
