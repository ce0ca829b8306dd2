"""Fills against `torch.nn.init`: the same distributions, exact bounds, one result whatever the threads, clear refusals."""

from __future__ import annotations

import inspect
import math
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import init

from modelzoo.catalog.distributions import NONLINEARITIES, fans_of
from modelzoo.catalog.fill import REQUIRED, problem_with
from modelzoo.catalog.fills import FILLS, TORCHS, bind, find_fill, register_fill
from modelzoo.elements import LONGEST
from modelzoo.errors import TextError
from modelzoo.init.drawing import Batch, Filling, Task, draw, run, tasks
from modelzoo.streams import generator


def filled(
    tensor: Tensor, fill: str, *args: Any, seed: int = 0, name: str = "w", threads: int = 1, **kwargs: Any
) -> Tensor:
    if tensor.is_floating_point():
        tensor.detach().fill_(math.nan)
    run(tasks(tensor, FILLS[fill], bind(FILLS[fill], args, kwargs), seed=seed, name=name), threads)
    return tensor


@pytest.fixture
def torch_threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def distance(one: Tensor, other: Tensor) -> float:
    """The Kolmogorov-Smirnov statistic, in units in which 1.36 is exceeded by chance once in twenty times, 2.3 in 20,000."""
    one, other = one.detach().double().flatten().sort().values, other.detach().double().flatten().sort().values
    points = torch.cat((one, other))
    below = [torch.searchsorted(each, points, right=True) / len(each) for each in (one, other)]
    size = len(one) * len(other) / (len(one) + len(other))
    return (below[0] - below[1]).abs().max().item() * math.sqrt(size)


def same_moments(one: Tensor, other: Tensor) -> bool:
    """Means within 5 standard errors, standard deviations within 5%."""
    one, other = one.detach().double(), other.detach().double()
    error = math.hypot(one.std().item() / math.sqrt(one.numel()), other.std().item() / math.sqrt(other.numel()))
    return abs(one.mean() - other.mean()).item() <= 5 * error and abs(one.std() / other.std() - 1).item() < 0.05


# --- distributions -------------------------------------------------------------------------------------------------

RANDOM: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("uniform", {}, (100, 200)),
    ("uniform", {"a": -10, "b": 10}, (20_000,)),
    ("normal", {}, (100, 200)),
    ("normal", {"mean": 3, "std": 0.02}, (20_000,)),
    ("trunc_normal", {}, (100, 200)),
    ("trunc_normal", {"std": 0.02}, (100, 200)),
    ("trunc_normal", {"mean": 1.0, "std": 2.0, "a": 0.0, "b": 1.5}, (100, 200)),
    ("trunc_normal", {"mean": 0.5, "std": 0.4, "a": -100, "b": 1}, (100, 200)),
    ("trunc_normal", {"mean": 0, "std": 1, "a": 1.9, "b": 4}, (100, 200)),
    ("xavier_uniform", {}, (100, 300)),
    ("xavier_uniform", {"gain": 2}, (16, 40, 5, 7)),
    ("xavier_normal", {}, (100, 300)),
    ("xavier_normal", {"gain": 0.5}, (16, 40, 5)),
    ("kaiming_uniform", {}, (100, 300)),
    ("kaiming_uniform", {"a": math.sqrt(5)}, (100, 300)),
    ("kaiming_normal", {"mode": "fan_out", "nonlinearity": "relu"}, (16, 40, 5, 7)),
    *[("kaiming_normal", {"nonlinearity": each, "a": 0.3}, (100, 200)) for each in NONLINEARITIES],
    ("orthogonal", {"gain": 3}, (100, 200)),
    ("orthogonal", {}, (300, 20, 2)),
    ("sparse", {"sparsity": 0.3}, (100, 200)),
    ("sparse", {"sparsity": 0.01, "std": 2.0}, (150, 200)),
]


@pytest.mark.parametrize(("name", "arguments", "shape"), RANDOM)
def test_a_fill_has_the_distribution_of_torch(name: str, arguments: dict[str, Any], shape: tuple[int, ...]) -> None:
    torchs = getattr(init, f"{name}_")(torch.empty(shape), **arguments, generator=torch.Generator().manual_seed(1))
    ours = filled(torch.empty(shape), name, **arguments)
    assert distance(ours, torchs) < 2.3
    assert same_moments(ours, torchs)


def test_the_distance_tells_what_a_test_must_tell() -> None:
    one, other = (torch.randn(20_000, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    assert distance(one, other) < 1.36
    assert distance(one, other * 1.1) > 2.3
    assert distance(one, other + 0.06) > 2.3
    assert not same_moments(one, other * 1.1)
    assert not same_moments(one, other + 0.06)


@pytest.mark.parametrize("mean", [0.0, -7.0])
@pytest.mark.parametrize(("a", "b"), [(3, 3.5), (3, 40), (5, 6), (-9, -8), (20, 21), (-30, -29.9)])
def test_a_truncated_normal_is_right_far_from_its_mean(a: float, b: float, mean: float) -> None:
    std = 2.0
    values = filled(torch.empty(20_000, dtype=torch.float64), "trunc_normal", mean, std, mean + a * std, mean + b * std)
    steps = (values - mean) / std
    near, far = sorted((abs(a), abs(b)))

    def tail(z: float) -> float:
        return math.erfc(z / math.sqrt(2)) / 2

    levels = [(tail(z) - tail(far)) / (tail(near) - tail(far)) for z in steps.abs().tolist()]
    assert distance(torch.tensor(levels), torch.linspace(0, 1, 20_000)) < 2
    assert a <= steps.min()
    assert steps.max() <= b + 1e-9
    assert len(values.unique()) > 19_990


def test_a_truncated_normal_with_wide_bounds_is_a_normal_without_strays() -> None:
    values = filled(torch.empty(2**22), "trunc_normal", 0.0, 1.0, -100.0, 100.0)
    assert values.isfinite().all()
    assert 4.5 < values.abs().max() < 5.5
    assert distance(values[: 2**16], torch.randn(2**16, generator=torch.Generator().manual_seed(1))) < 2.3
    assert math.isclose((values.abs() > 3).double().mean().item(), math.erfc(3 / math.sqrt(2)), rel_tol=0.05)


def test_a_truncated_normal_without_spread_is_the_nearest_number_within_the_bounds() -> None:
    assert filled(torch.empty(3), "trunc_normal", 0.5, 0.0).tolist() == [0.5] * 3
    assert filled(torch.empty(3), "trunc_normal", 5.0, 0.0, -1.0, 1.0).tolist() == [1.0] * 3


@pytest.mark.parametrize(
    ("a", "b"),
    [(0.0, 1.0), (-0.1, 0.1), (0.1, 0.3), (-0.3, 1.0), (1.0, 1.0000001), (1e6, 1e6 + 1), (-1e-30, 1e37), (5, 5)],
)
@pytest.mark.parametrize("name", ["uniform", "trunc_normal"])
def test_bounds_are_exact_in_float32(a: float, b: float, name: str) -> None:
    arguments = {"a": a, "b": b} | ({"mean": a, "std": (b - a) or 1.0} if name == "trunc_normal" else {})
    values = filled(torch.empty(2**20), name, **arguments)
    low, high = torch.tensor([a, b], dtype=torch.float32)
    assert low <= values.min()
    assert values.max() <= high
    step = torch.nextafter(high, high + 1) - high  # torch may keep its uniform draws below the bound
    assert high - values.max() <= max(step, (high - low) * 1e-4)
    assert values.min() - low <= max(step, (high - low) * 1e-4)


@pytest.mark.parametrize("name", ["zeros", "ones", "eye", "dirac"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64])
def test_fills_that_draw_nothing_equal_those_of_torch(name: str, dtype: torch.dtype) -> None:
    shape = (6, 4, 3) if name == "dirac" else (6, 4)
    assert filled(torch.empty(shape, dtype=dtype), name).equal(getattr(init, f"{name}_")(torch.empty(shape)).to(dtype))


@pytest.mark.parametrize("shape", [(6, 4, 3), (6, 4, 3, 2), (4, 6, 3, 3, 3)])
def test_dirac_groups_are_those_of_torch(shape: tuple[int, ...]) -> None:
    assert filled(torch.empty(shape), "dirac", groups=2).equal(init.dirac_(torch.empty(shape), 2))


@pytest.mark.parametrize(
    ("value", "dtype"), [(0.1, torch.float32), (0.1, torch.float64), (0.1, torch.bfloat16), (7, torch.int64)]
)
def test_a_constant_is_the_number_rounded_once(value: float, dtype: torch.dtype) -> None:
    assert filled(torch.empty(2, dtype=dtype), "constant", value).equal(torch.full((2,), value, dtype=dtype))


def test_constants_of_integers_and_booleans_are_exact() -> None:
    assert filled(torch.empty(1, dtype=torch.int64), "constant", 2**53 + 1).item() == 2**53 + 1
    assert filled(torch.empty(1, dtype=torch.bool), "constant", True).item() is True
    assert math.copysign(1, filled(torch.empty(1), "constant", -0.0).item()) == -1


@pytest.mark.parametrize("shape", [(20, 20), (30, 8), (8, 30), (10, 3, 2)])
def test_orthogonal_rows_or_columns_are_orthogonal(shape: tuple[int, ...]) -> None:
    matrix = filled(torch.empty(shape), "orthogonal", gain=2.0).flatten(1)
    product = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    torch.testing.assert_close(product, 4 * torch.eye(len(product)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("sparsity", "zeros"), [(0, 0), (0.1, 1), (0.3, 2), (0.5, 3), (1, 5)])
def test_sparse_has_so_many_zeros_in_each_column_at_places_of_its_own(sparsity: float, zeros: int) -> None:
    values = filled(torch.empty(5, 50), "sparse", sparsity)
    assert (values == 0).sum(0).tolist() == [zeros] * 50
    if 0 < zeros < 5:
        assert len({tuple(column.tolist()) for column in (values == 0).T}) > 4


def test_an_embedding_is_normal_but_for_its_padding_row() -> None:
    shape = (3000, 70)  # the row lies across the border of two blocks
    row = LONGEST // 70
    assert row * 70 < LONGEST < (row + 1) * 70
    expected = filled(torch.empty(shape), "normal", 0.0, 0.5)
    expected[row] = 0
    assert filled(torch.empty(shape), "embedding", row, std=0.5).equal(expected)
    small = filled(torch.empty(4, 3), "embedding", 3)
    assert (small == 0).all(1).tolist() == [False, False, False, True]


def test_fans_are_those_of_torch() -> None:
    for shape in [(3, 5), (3, 5, 7), (3, 5, 7, 2), (64, 1, 3, 3, 3)]:
        assert fans_of(shape) == init._calculate_fan_in_and_fan_out(torch.empty(shape))


def test_given_fans_replace_those_of_the_shape() -> None:
    weight = torch.empty(100, 100)
    run(tasks(weight, FILLS["xavier_uniform"], {"gain": 1.0}, seed=0, name="w", fans=(1, 5)))
    assert 0.99 < weight.max() <= 1
    run(
        tasks(
            weight,
            FILLS["kaiming_uniform"],
            bind(FILLS["kaiming_uniform"], [], {"mode": "fan_out"}),
            seed=0,
            name="w",
            fans=(9, 6),
        )
    )
    assert 0.99 < weight.max() <= 1


# --- dtypes and layouts --------------------------------------------------------------------------------------------

ALL: list[tuple[str, dict[str, Any]]] = [
    ("uniform", {}),
    ("normal", {}),
    ("trunc_normal", {}),
    ("xavier_uniform", {}),
    ("xavier_normal", {}),
    ("kaiming_uniform", {}),
    ("kaiming_normal", {}),
    ("embedding", {"padding_idx": 2}),
    ("orthogonal", {}),
    ("sparse", {"sparsity": 0.2}),
]


@pytest.mark.parametrize("shape", [(5, 3), (300, 1000)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("name", "arguments"), ALL)
def test_narrow_values_are_the_rounded_float32_draws(
    name: str, arguments: dict[str, Any], dtype: torch.dtype, shape: tuple[int, int]
) -> None:
    if name == "orthogonal":
        shape = (5, 3)
    wide = filled(torch.empty(shape), name, **arguments)
    assert filled(torch.empty(shape, dtype=dtype), name, **arguments).equal(wide.to(dtype))


def test_float64_is_drawn_with_all_its_bits() -> None:
    for name in ("uniform", "normal", "trunc_normal"):
        values = filled(torch.empty(1000, dtype=torch.float64), name)
        assert not values.equal(values.float().double())


def test_whole_numbers_are_uniform_draws_rounded_down() -> None:
    values = filled(torch.empty(10_000, dtype=torch.int64), "uniform", -2, 3)
    assert values.unique().tolist() == [-2, -1, 0, 1, 2]
    assert (values + 2).bincount().min() > 1850
    tokens = filled(torch.empty(1000, dtype=torch.int64), "uniform", 2**40, 2**40 + 2**20)
    assert len((tokens % 1024).unique()) > 500  # float32 would leave one


@pytest.mark.parametrize(("name", "arguments"), ALL)
@pytest.mark.parametrize("shape", [(6, 4), (600, 400)])
def test_the_layout_in_memory_does_not_matter(name: str, arguments: dict[str, Any], shape: tuple[int, int]) -> None:
    if name == "orthogonal":
        shape = (6, 4)
    plain = filled(torch.empty(shape), name, **arguments)
    assert filled(torch.empty(shape[::-1]).T, name, **arguments).equal(plain)
    assert filled(torch.empty(shape[0], 2 * shape[1])[:, ::2], name, **arguments).equal(plain)


def test_only_the_tensor_itself_is_written() -> None:
    memory = torch.full((4, 10), 7.0)
    filled(memory[:, 2:5], "normal")
    assert (memory == 7).sum() == 28


def test_nothing_to_do_is_no_task() -> None:
    for tensor in (torch.empty(0, 4), torch.empty(4, 4, device="meta")):
        assert tasks(tensor, FILLS["xavier_uniform"], {"gain": 1.0}, seed=0, name="w") == []


def test_a_scalar_can_be_filled() -> None:
    assert filled(torch.empty(()), "constant", 2.5).item() == 2.5
    assert 0 <= filled(torch.empty(()), "uniform").item() < 1


def test_parameters_are_filled_without_gradients() -> None:
    for shape in ((3, 3), (400, 400)):
        parameter = torch.nn.Parameter(torch.empty(shape))
        assert filled(parameter, "normal", threads=2).grad_fn is None
        assert parameter.requires_grad
        assert parameter.is_leaf
        assert parameter.isfinite().all()


def test_inference_mode_may_surround_a_fill() -> None:
    expected = filled(torch.empty(1000, 1000), "normal", threads=2)
    with torch.inference_mode():
        assert filled(torch.empty(1000, 1000), "normal", threads=2).equal(expected)


# --- streams, blocks and threads -----------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("setting", [1, 2, 8])
def test_values_do_not_depend_on_threads(threads: int, setting: int, torch_threads: Callable[[int], None]) -> None:
    def values(threads: int) -> list[Tensor]:
        tensors = {each: torch.empty(300, 220) for each in ("orthogonal", "sparse", "normal")}
        tensors |= {each: torch.empty(1000, 300) for each in ("uniform", "trunc_normal", "kaiming_normal", "zeros")}
        every = [
            task
            for name, tensor in tensors.items()
            for task in tasks(
                tensor, FILLS[name], bind(FILLS[name], [0.3] if name == "sparse" else [], {}), seed=0, name=name
            )
        ]
        run(every, threads)
        return list(tensors.values())

    torch_threads(setting)
    ours = values(threads)
    torch_threads(1)
    assert all(map(torch.equal, ours, values(1)))


def test_the_setting_of_torch_is_kept(torch_threads: Callable[[int], None]) -> None:
    torch_threads(3)
    filled(torch.empty(1000, 1000), "normal", threads=2)
    assert torch.get_num_threads() == 3
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert seen == [3]


@pytest.mark.parametrize("name", ["uniform", "normal", "trunc_normal"])
@pytest.mark.parametrize("extra", [-1, 0, 1, 5, 17])
def test_where_a_tensor_ends_does_not_change_what_stands_before(extra: int, name: str) -> None:
    longest = filled(torch.empty(2 * LONGEST), name)
    values = filled(torch.empty(LONGEST + extra), name)
    assert len(tasks(values, FILLS[name], bind(FILLS[name], [], {}), seed=0, name="w")) == 1 + (extra > 0)
    assert values.equal(longest[: LONGEST + extra])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64], ids=str)
@pytest.mark.parametrize("shape", [(), (1,), (5,), (3, 5), (8, 8)], ids=str)
def test_small_tensors_drawn_together_have_the_values_that_each_has_alone(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    batch, tensors = Batch(seed=0), [torch.empty(shape, dtype=dtype) for _ in range(7)]
    for n, each in enumerate(tensors):
        batch.add(Filling(FILLS["uniform"], {"a": -9.0, "b": 9.0}, shape, dtype), each, str(n))
    batch.finish()
    alone = [filled(torch.empty(shape, dtype=dtype), "uniform", -9.0, 9.0, name=str(n)) for n in range(7)]
    assert all(one.equal(other) for one, other in zip(tensors, alone, strict=True))


def test_tensors_of_many_shapes_and_fills_drawn_together_have_the_values_that_each_has_alone() -> None:
    batch = Batch(seed=0)
    cases = [
        (name, (rows, columns), dtype)
        for name in ("uniform", "normal", "trunc_normal", "xavier_uniform", "kaiming_normal", "embedding")
        for rows, columns in ((1, 1), (3, 5), (7, 9), (64, 64), (100, 101))
        for dtype in (torch.float32, torch.float64, torch.bfloat16)
    ]
    given = {"embedding": {"padding_idx": 0}}
    together = [torch.full(shape, math.nan, dtype=dtype) for _, shape, dtype in cases]
    for (name, shape, dtype), each in zip(cases, together, strict=True):
        arguments = bind(FILLS[name], [], given.get(name, {}))
        batch.add(Filling(FILLS[name], arguments, shape, dtype), each, f"{name}.{shape}")
    batch.finish()
    for (name, shape, dtype), each in zip(cases, together, strict=True):
        alone = filled(torch.empty(shape, dtype=dtype), name, name=f"{name}.{shape}", **given.get(name, {}))
        assert each.equal(alone), (name, shape, dtype)


def test_tensors_seeds_and_draws_differ_and_orders_do_not_matter() -> None:
    normal, arguments = FILLS["normal"], {"mean": 0.0, "std": 1.0}
    keys = [(0, "a", 0), (0, "b", 0), (1, "a", 0), (0, "a", 1)]

    def values(order: list[tuple[int, str, int]]) -> dict[tuple[int, str, int], tuple[float, ...]]:
        tensors = {key: torch.empty(4) for key in order}
        run(
            task
            for (seed, name, number), tensor in tensors.items()
            for task in tasks(tensor, normal, arguments, seed=seed, name=name, number=number)
        )
        return {key: tuple(tensor.tolist()) for key, tensor in tensors.items()}

    assert values(keys) == values(keys[::-1])
    assert len(set(values(keys).values())) == 4


@pytest.mark.parametrize(("name", "arguments"), ALL)
def test_the_global_generator_is_neither_read_nor_moved(name: str, arguments: dict[str, Any]) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = filled(torch.empty(30, 20), name, **arguments)
    assert torch.get_rng_state().equal(before)
    torch.manual_seed(2)
    assert filled(torch.empty(30, 20), name, **arguments).equal(one)


@pytest.mark.parametrize(("name", "arguments"), ALL)
def test_a_draw_is_what_a_fill_writes(name: str, arguments: dict[str, Any]) -> None:
    fill = FILLS[name]
    bound = bind(fill, [], arguments)
    shape = (40, 50) if name == "orthogonal" else (400, 500)
    drawn = draw(fill, bound, shape, torch.float32, seed=0, name="w")
    assert drawn.equal(filled(torch.empty(shape), name, **arguments))
    assert not drawn.requires_grad


def test_draws_are_float32_or_float64() -> None:
    wide = {torch.float64, torch.int64, torch.bool}
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool):
        drawn = draw(FILLS["uniform"], {"a": 0, "b": 1}, (2,), dtype, seed=0, name="w")
        assert drawn.dtype == (torch.float64 if dtype in wide else torch.float32)


def test_small_and_large_tasks_are_all_done_once() -> None:
    done: list[int] = []
    costs = [1, 2**20, 10, 2**18, 2**14, 2**14 - 1, 2**30, 0]
    run((Task(cost, lambda cost=cost: done.append(cost)) for cost in costs), 4)
    assert sorted(done) == sorted(costs)


def test_large_tasks_run_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=20)
    run([Task(2**20, meeting.wait), Task(2**20, meeting.wait)], 2)


def test_one_thread_stays_in_the_calling_one() -> None:
    seen: list[int] = []
    run([Task(2**20, lambda: seen.append(threading.get_ident()))] * 3, 1)
    assert set(seen) == {threading.get_ident()}


@pytest.mark.parametrize("error", [IndexError, ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("position", [0, 9, 19])
def test_what_a_task_raises_comes_out(error: type[BaseException], threads: int, position: int) -> None:
    def fail() -> None:
        raise error("here")

    every = [Task(2**20, fail if index == position else lambda: None) for index in range(20)]
    before = torch.get_num_threads()
    with pytest.raises(error, match="here"):
        run(every, threads)
    assert torch.get_num_threads() == before
    assert torch.is_grad_enabled()


def test_tasks_run_without_gradients_in_every_thread() -> None:
    meeting = threading.Barrier(2, timeout=20)
    seen: list[bool] = []

    def look() -> None:
        meeting.wait()
        seen.append(torch.is_grad_enabled())

    run([Task(2**20, look)] * 2, 2)
    assert seen == [False, False]


def test_threads_are_a_positive_number() -> None:
    with pytest.raises(ValueError, match=r"^threads must be a positive integer, not 0$"):
        run([], 0)


# --- names and arguments -------------------------------------------------------------------------------------------


def test_every_fill_of_torch_has_its_arguments() -> None:
    differing = {"constant": ["value"], "embedding": ["padding_idx", "std"], "lsuv": ["std"]}
    for name in TORCHS:
        if name in differing:
            assert list(FILLS[name].parameters) == differing[name]
            continue
        theirs = inspect.signature(getattr(init, f"{name}_")).parameters
        defaults = {key: each.default for key, each in theirs.items() if key not in ("tensor", "generator")}
        assert FILLS[name].parameters == {
            key: REQUIRED if each is inspect.Parameter.empty else each for key, each in defaults.items()
        }


def test_an_underscore_at_the_end_is_accepted() -> None:
    assert find_fill("kaiming_normal_") is find_fill("kaiming_normal") is FILLS["kaiming_normal"]
    assert find_fill("kaiming") is None
    assert find_fill("_") is None


def test_arguments_are_bound_by_place_and_name() -> None:
    assert bind(FILLS["uniform"], [-1], {"b": 2}) == {"a": -1, "b": 2}
    assert list(bind(FILLS["trunc_normal"], [], {"b": 1, "mean": 3}).items()) == [
        ("mean", 3),
        ("std", 1.0),
        ("a", -2.0),
        ("b", 1),
    ]
    assert FILLS["trunc_normal"].text({"mean": 0.0, "std": 0.02}) == "trunc_normal(mean=0.0, std=0.02)"
    assert FILLS["zeros"].text({}) == "zeros"


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "what", "hint"),
    [
        ("normal", [], {"sdt": 1}, "normal has no argument 'sdt'.", "Did you mean 'std'?"),
        ("constant", [], {"val": 1}, "constant has no argument 'val'.", "Did you mean 'value'?"),
        ("constant", [], {}, "constant needs 'value'.", "Write constant(value=...)."),
        ("sparse", [], {"std": 1}, "sparse needs 'sparsity'.", "Write sparse(sparsity=...)."),
        ("uniform", [1, 2, 3], {}, "uniform takes at most 2 arguments, not 3.", ""),
        ("xavier_normal", [1, 2], {}, "xavier_normal takes at most 1 argument, not 2.", ""),
        ("zeros", [1], {}, "zeros takes no arguments, not 1.", ""),
        ("zeros", [], {"value": 1}, "zeros has no argument 'value'.", ""),
        ("uniform", [1], {"a": 2}, "uniform is given 'a' twice.", ""),
    ],
)
def test_wrong_arguments_are_explained(
    name: str, args: list[Any], kwargs: dict[str, Any], what: str, hint: str
) -> None:
    with pytest.raises(TextError) as caught:
        bind(FILLS[name], args, kwargs)
    assert (caught.value.what, caught.value.hint) == (what, hint)


F16, F32, I64, U8 = torch.float16, torch.float32, torch.int64, torch.uint8
PROBLEMS: list[tuple[str, dict[str, Any], tuple[int, ...], torch.dtype, str]] = [
    ("normal", {"std": -1}, (2,), F32, "needs std to be 0 or more, not -1"),
    ("normal", {"std": True}, (2,), F32, "needs a number as std, not True"),
    ("normal", {"mean": "0"}, (2,), F32, "needs a number as mean, not '0'"),
    ("normal", {"mean": None}, (2,), F32, "needs a number as mean, not None"),
    ("normal", {"std": math.inf}, (2,), F32, "needs a finite std, not inf"),
    ("normal", {"mean": math.nan}, (2,), F32, "needs a finite mean, not nan"),
    ("normal", {"mean": 1e5}, (2,), F16, "needs mean within float16, from -65504 to 65504, not 100000.0"),
    ("normal", {}, (2,), I64, "draws real numbers, which int64 cannot hold: write zeros, ones or constant(...)"),
    (
        "normal",
        {},
        (2,),
        torch.complex64,
        "draws real numbers, which complex64 cannot hold: write zeros, ones or constant(...)",
    ),
    ("uniform", {"a": 2, "b": 1}, (2,), F32, "needs a to be at most b, not a=2 and b=1"),
    ("uniform", {"a": -3e38, "b": 3e38}, (2,), F32, "needs a and b closer together, not a=-3e+38 and b=3e+38"),
    ("uniform", {"b": 1e39}, (2,), F32, "needs b within float32, from -3.40282e+38 to 3.40282e+38, not 1e+39"),
    ("uniform", {"b": 257}, (2,), U8, "needs b within uint8, from 0 to 255, not 257"),
    ("uniform", {"a": -1}, (2,), U8, "needs a within uint8, from 0 to 255, not -1"),
    ("trunc_normal", {"std": -1}, (2,), F32, "needs std to be 0 or more, not -1"),
    ("trunc_normal", {"a": 1, "b": -1}, (2,), F32, "needs a to be at most b, not a=1 and b=-1"),
    (
        "trunc_normal",
        {"std": 0.01, "a": 1, "b": 2},
        (2,),
        F32,
        "needs bounds within 37 standard deviations of the mean, not a=1 and b=2 for mean=0.0 and std=0.01",
    ),
    ("constant", {"value": True}, (2,), F32, "needs a number as value, not True"),
    ("constant", {"value": math.inf}, (2,), F32, "needs a finite value, not inf"),
    (
        "constant",
        {"value": 10**400},
        (2,),
        F32,
        f"needs an integer below 9,223,372,036,854,775,808 as value, not {10**400}: write a float",
    ),
    ("constant", {"value": 1e39}, (2,), F32, "needs value within float32, from -3.40282e+38 to 3.40282e+38, not 1e+39"),
    ("constant", {"value": 70000}, (2,), F16, "needs value within float16, from -65504 to 65504, not 70000"),
    ("constant", {"value": 0.5}, (2,), I64, "needs a whole number as value for int64, not 0.5"),
    ("constant", {"value": 256}, (2,), U8, "needs value within uint8, from 0 to 255, not 256"),
    ("constant", {"value": 2}, (2,), torch.bool, "needs value within bool, from 0 to 1, not 2"),
    ("xavier_uniform", {}, (2,), F32, "needs at least 2 dimensions, not 1: write zeros or uniform(-0.1, 0.1)"),
    ("kaiming_normal", {}, (), F32, "needs at least 2 dimensions, not 0: write zeros or uniform(-0.1, 0.1)"),
    ("xavier_normal", {"gain": -1}, (2, 2), F32, "needs gain to be 0 or more, not -1"),
    ("kaiming_uniform", {"mode": "fan_im"}, (2, 2), F32, "has no mode 'fan_im'. Did you mean 'fan_in'?"),
    ("kaiming_uniform", {"mode": 1}, (2, 2), F32, "has no mode 1. Known: fan_in, fan_out."),
    (
        "kaiming_uniform",
        {"nonlinearity": "leaky"},
        (2, 2),
        F32,
        "has no nonlinearity 'leaky'. Did you mean 'leaky_relu'?",
    ),
    (
        "kaiming_uniform",
        {"nonlinearity": []},
        (2, 2),
        F32,
        "has no nonlinearity []. Known: linear, conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d, sigmoid, tanh, relu, leaky_relu, selu.",
    ),
    ("kaiming_uniform", {"a": False}, (2, 2), F32, "needs a number as a, not False"),
    ("orthogonal", {}, (2,), F32, "needs at least 2 dimensions, not 1: write zeros or uniform(-0.1, 0.1)"),
    ("orthogonal", {"gain": math.nan}, (2, 2), F32, "needs a finite gain, not nan"),
    ("sparse", {"sparsity": 2.0}, (2, 2), F32, "needs sparsity to be from 0 to 1, not 2.0"),
    ("sparse", {"sparsity": 0.1}, (2, 2, 2), F32, "needs exactly 2 dimensions, not 3"),
    ("sparse", {"sparsity": 0.1, "std": -0.1}, (2, 2), F32, "needs std to be 0 or more, not -0.1"),
    ("eye", {}, (2, 2, 2), F32, "needs exactly 2 dimensions, not 3"),
    ("dirac", {}, (2, 2), F32, "needs 3 to 5 dimensions, not 2"),
    ("dirac", {"groups": 3}, (8, 2, 2), F32, "needs groups to divide the first dimension, not 3 for 8"),
    ("dirac", {"groups": 0}, (8, 2, 2), F32, "needs groups to be a positive integer, not 0"),
    ("dirac", {"groups": True}, (8, 2, 2), F32, "needs groups to be a positive integer, not True"),
    ("embedding", {"padding_idx": 4}, (4, 2), F32, "needs padding_idx to be the number of a row, from 0 to 3, not 4"),
    ("embedding", {"padding_idx": 0}, (4,), F32, "needs exactly 2 dimensions, not 1"),
]


@pytest.mark.parametrize(("name", "arguments", "shape", "dtype", "problem"), PROBLEMS)
def test_what_cannot_be_filled_is_explained(
    name: str, arguments: dict[str, Any], shape: tuple[int, ...], dtype: torch.dtype, problem: str
) -> None:
    assert problem_with(FILLS[name], bind(FILLS[name], [], arguments), shape, dtype) == problem


@pytest.mark.parametrize(
    ("name", "arguments", "shape", "dtype"),
    [
        ("normal", {"std": 0}, (2,), F32),
        ("uniform", {"a": 1, "b": 1}, (2,), F32),
        ("uniform", {"b": 256}, (2,), U8),
        ("uniform", {"a": -60000, "b": 60000}, (2,), F16),
        ("constant", {"value": True}, (2,), torch.bool),
        ("constant", {"value": 3.0}, (2,), I64),
        ("constant", {"value": 1e39}, (2,), torch.float64),
        ("trunc_normal", {"mean": 9, "std": 0, "a": 0, "b": 1}, (2,), F32),
        ("trunc_normal", {"std": 0.1, "a": 3.6, "b": 5}, (2,), F16),
        ("sparse", {"sparsity": 1}, (2, 2), F32),
        ("dirac", {"groups": 2}, (4, 2, 2, 2, 2), F32),
        ("eye", {}, (2, 3), I64),
    ],
)
def test_what_has_no_problem_is_filled(
    name: str, arguments: dict[str, Any], shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    assert problem_with(FILLS[name], bind(FILLS[name], [], arguments), shape, dtype) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert filled(torch.empty(shape, dtype=dtype), name, **arguments).isfinite().all()


# --- a user's own --------------------------------------------------------------------------------------------------


def test_a_registered_fill_works_like_any_other() -> None:
    @register_fill
    def spread_(tensor: Tensor, width: float, middle: float = 0.0, *, generator: torch.Generator) -> Tensor:
        return tensor.uniform_(middle - width / 2, middle + width / 2, generator=generator)

    fill = find_fill("spread")
    assert fill is FILLS["spread"] is find_fill("spread_")
    assert fill.parameters == {"width": REQUIRED, "middle": 0.0}
    assert bind(fill, [4.0], {}) == {"width": 4.0, "middle": 0.0}
    assert problem_with(fill, {"width": 4.0, "middle": 0.0}, (3,), torch.bfloat16) is None
    wide = filled(torch.empty(600, 600), "spread", 4.0)
    assert wide.equal(filled(torch.empty(600, 600), "uniform", -2.0, 2.0)) is False  # one stream, not one per block
    assert wide.flatten().equal(torch.empty(360_000).uniform_(-2, 2, generator=generator(0, "w")))
    assert filled(torch.empty(600, 600, dtype=torch.bfloat16), "spread", 4.0).equal(wide.bfloat16())


def test_a_registered_fill_may_take_lists() -> None:
    @register_fill(name="choice")
    def choose(tensor: Tensor, values: list[float], *, generator: torch.Generator) -> None:
        tensor.copy_(torch.tensor(values)[torch.randint(len(values), tensor.shape, generator=generator)])

    assert set(filled(torch.empty(50), "choice", [1.0, 2.0]).tolist()) == {1.0, 2.0}


@pytest.mark.parametrize("name", ["normal", "normal_", "", "two words", "lambda", "x" * 65])
def test_a_name_that_is_taken_or_none_is_refused(name: str) -> None:
    taken = "the name 'normal' is taken by another fill: write name=..."
    given = name or "<lambda>"
    none = f"a fill needs a name of letters, digits and '_', at most 64 of them, not {given!r}: write name=..."
    with pytest.raises(ValueError, match="a") as caught:
        register_fill(lambda tensor, *, generator: None, name=name)
    assert str(caught.value) == (taken if name.startswith("normal") else none)


@pytest.mark.parametrize(
    ("call", "signature"),
    [
        (lambda: None, "()"),
        (lambda tensor: None, "(tensor)"),
        (lambda generator: None, "(generator)"),
        (lambda tensor, *rest, generator: None, "(tensor, *rest, generator)"),
        (lambda tensor, generator, **rest: None, "(tensor, generator, **rest)"),
    ],
)
def test_a_function_that_is_called_otherwise_is_refused(call: Callable[..., None], signature: str) -> None:
    with pytest.raises(TypeError) as caught:
        register_fill(call, name="mine")
    assert str(caught.value) == f"a fill is called as f(tensor, ..., generator=...), which f{signature} does not allow"
    assert "mine" not in FILLS


def test_something_that_is_no_function_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^a fill is something to call, not 3$"):
        register_fill(3, name="mine")  # type: ignore[call-overload]


def test_the_known_fills_are_read_only() -> None:
    with pytest.raises(TypeError):
        FILLS["mine"] = FILLS["normal"]  # type: ignore[index]
