"""A model that torch splits over several processes has the bits of the whole one, on every rank, in every way."""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import subprocess
import sys

import modelzoo
from modelzoo.parts import part
from modelzoo.weights import loading
from modelzoo.weights.request import parsed
from tests.sharding.ranks import INITS, SMALL, differences

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(world: int, folder: pathlib.Path, *parts: str) -> dict[str, list[str]]:
    """What the ranks found, which is the same on each."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    outs = [folder / f"{rank}.json" for rank in range(world)]
    ranks = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.sharding.ranks",
                str(rank),
                str(world),
                str(folder / "store"),
                str(out),
                *parts,
            ],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, out in enumerate(outs)
    ]
    errors = [each.communicate()[1] for each in ranks]
    assert all(each.returncode == 0 for each in ranks), errors
    found = [json.loads(out.read_text()) for out in outs]
    assert all(each == found[0] for each in found)
    first: dict[str, list[str]] = found[0]
    return first


def test_two_ranks_have_the_bits_of_one_and_say_where_a_tie_would_be_lost(tmp_path: pathlib.Path) -> None:
    found = run(2, tmp_path, "small", "shipped", "refused", "saved", "counted", "sampled:0:1")
    messages = {name: found.pop(name)[0] for name in ("apart", "measured")}
    assert len(found) == 3 * 1 + 2 * 5 + 2 + 1 + 5 + 1 + 5 + 2 * 5
    assert {name: names for name, names in found.items() if names} == {}
    assert messages["apart"] == (
        "parallelize\n"
        "  'embed.weight' and 'head.weight' are one tensor, and 'parallelize' makes two of it. Write fully_shard("
        '[model.get_submodule("embed"), model.get_submodule("head")]), as one unit.'
    )
    assert messages["measured"].splitlines()[1] == (
        "  init.w fills 'embed.weight' with lsuv, which runs the whole model. Build the model in one "
        "process, or take another fill."
    )

    alone = modelzoo.build(SMALL, INITS["xavier"], seed=7)
    loading.load(alone, parsed(str(tmp_path / "store.checkpoint")))
    assert differences(modelzoo.build(SMALL, INITS["xavier"], seed=5), alone) == []


def test_four_ranks_have_the_bits_of_one_on_meshes_of_two_dimensions_too(tmp_path: pathlib.Path) -> None:
    found = run(4, tmp_path, "small", "counted")
    assert len(found) == 6 * 1 + 3 * 5 + 3 * 2 + 2 + 2
    assert {name: names for name, names in found.items() if names} == {}


def test_the_parts_of_all_ranks_are_the_whole_tensor_once() -> None:
    from torch.distributed.tensor import Replicate, Shard
    from torch.distributed.tensor.placement_types import _StridedShard

    shape, sizes = (193, 31), (4, 2)
    for placements in (
        [Shard(0), Shard(1)],
        [Shard(0), Shard(0)],
        [_StridedShard(0, split_factor=2), Shard(0)],
        [Replicate(), Shard(0)],
        [Replicate(), Replicate()],
    ):
        places = itertools.product(range(4), range(2))
        parts = {tuple((each.start, each.stop) for each in part(shape, placements, sizes, place)) for place in places}
        covered = [each for rows, columns in parts for each in itertools.product(range(*rows), range(*columns))]
        assert len(covered) == len(set(covered)) == 193 * 31


def test_a_build_on_one_machine_imports_nothing_of_this() -> None:
    code = (
        "import sys, modelzoo; modelzoo.build({'layers': ['Linear(2, 2)']}); print('modelzoo.sharding' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert printed == "False\n"
    assert callable(modelzoo.build)
