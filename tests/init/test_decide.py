"""Who fills which tensor, as built models show it: one plan, every tensor once, and a ledger of all decisions."""

import math

import pytest
import torch
from torch import nn

import modelzoo
from modelzoo.catalog.layers import LAYERS
from modelzoo.init import drawing
from modelzoo.init import filling as init_filling
from modelzoo.plans import draft
from modelzoo.streams import key

MODEL = {
    "inputs": {"x": [2, 8]},
    "layers": {"first": "Linear(8, 8)", "second": "Linear(8, 8)", "norm": "LayerNorm(8)", "last": "Linear(8, 3)"},
}
RULES = {
    "weights": {"layer": "Linear", "param": "weight", "fill": "normal(std=0.02)"},
    "biases": {"param": "bias", "fill": 0},
}


def layers(**more):
    return {**MODEL, "layers": {name: each for name, each in {**MODEL["layers"], **more}.items() if each}}


def values(model, init=RULES, **options):
    return {name: each.clone() for name, each in modelzoo.build(model, init, **options).state_dict().items()}


# -- every tensor keeps its values ------------------------------------------------------------------------------------


@pytest.mark.parametrize("init", [RULES, None], ids=["rules", "torch"])
@pytest.mark.parametrize(
    "changed",
    [
        {**MODEL, "layers": {"new": "Linear(8, 8)", **MODEL["layers"]}},
        layers(second=None),
        {**MODEL, "layers": {("renamed" if n == "second" else n): each for n, each in MODEL["layers"].items()}},
        layers(second="Linear(8, 8, bias=False)"),
    ],
    ids=["inserted", "removed", "renamed", "without its bias"],
)
def test_a_change_of_one_layer_leaves_all_other_tensors_as_they_were_bit_for_bit(changed, init):
    before, after = values(MODEL, init, seed=7), values(changed, init, seed=7)
    same = before.keys() & after.keys()
    assert len(same) >= 6
    assert all(torch.equal(before[name], after[name]) for name in same)


def test_no_two_of_many_tensors_begin_alike_and_no_two_keys_are_equal():
    count = 2_500
    model = {"layers": [{"_target_": "Linear(4, 4)", "_repeat_": count}]}
    tensors = values(model, None, dtype="float64")
    starts = {tuple(each.flatten()[:4].tolist()) for each in tensors.values()}
    assert len(starts) == len(tensors) == 2 * count
    assert len({key(0, name, draw) for name in tensors for draw in (0, 1)}) == 4 * count


def test_a_rule_that_reads_the_value_and_draws_again_draws_other_numbers():
    twice = {"a": {"param": "weight", "fill": "normal"}, "b": {"param": "weight", "fill": "value - normal()"}}
    first = values(MODEL, {"a": twice["a"]})["first.weight"]
    second = first - values(MODEL, twice)["first.weight"]
    assert abs(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1]) < 0.4
    assert second.std() > 0.7


# -- one fill, and only one -------------------------------------------------------------------------------------------


def test_what_a_later_rule_overwrites_is_never_computed():
    calls = []

    def counting(tensor, generator):
        calls.append(tuple(tensor.shape))
        return tensor.fill_(1.0)

    modelzoo.register.fill(counting)
    early = {"early": {"param": "weight", "fill": "counting"}}
    modelzoo.build(MODEL, {**early, "late": {"layer": "Linear", "param": "weight", "fill": 2}})
    assert calls == [(8,)]
    modelzoo.build(MODEL, {**early, "late": {"layer": "Linear", "param": "weight", "fill": "value + 1"}})
    assert sorted(calls) == [(3, 8), (8,), (8,), (8, 8), (8, 8)]


WITH_TENSORS = {
    "AdaptiveLogSoftmaxWithLoss": "AdaptiveLogSoftmaxWithLoss(6, 20, [5, 10])",
    "BatchNorm1d": "BatchNorm1d(6)",
    "BatchNorm2d": "BatchNorm2d(6)",
    "BatchNorm3d": "BatchNorm3d(6)",
    "Bilinear": "Bilinear(3, 4, 5)",
    **{f"Conv{n}d": f"Conv{n}d(4, 6, 3, groups=2)" for n in (1, 2, 3)},
    **{f"ConvTranspose{n}d": f"ConvTranspose{n}d(4, 6, 3, groups=2)" for n in (1, 2, 3)},
    "Embedding": "Embedding(5, 6, padding_idx=1)",
    "EmbeddingBag": "EmbeddingBag(5, 6)",
    "GroupNorm": "GroupNorm(2, 6)",
    **{f"{name}Cell": f"{name}Cell(4, 6)" for name in ("RNN", "LSTM", "GRU")},
    **{name: f"{name}(4, 6, num_layers=2, bidirectional=True)" for name in ("RNN", "LSTM", "GRU")},
    **{f"InstanceNorm{n}d": f"InstanceNorm{n}d(6, affine=True, track_running_stats=True)" for n in (1, 2, 3)},
    "LayerNorm": "LayerNorm(6)",
    "Linear": "Linear(4, 6)",
    "MultiheadAttention": "MultiheadAttention(6, 2, kdim=3, vdim=4, add_bias_kv=True)",
    "PReLU": "PReLU(3)",
    "RMSNorm": "RMSNorm(6)",
    "Transformer": "Transformer(6, 2, 1, 1, 8, batch_first=True)",
    "TransformerDecoder": "TransformerDecoder(TransformerDecoderLayer(6, 2, 8), 2)",
    "TransformerDecoderLayer": "TransformerDecoderLayer(6, 2, 8)",
    "TransformerEncoder": "TransformerEncoder(TransformerEncoderLayer(6, 2, 8, batch_first=True), 2, LayerNorm(6))",
    "TransformerEncoderLayer": "TransformerEncoderLayer(6, 2, 8)",
}


def poisoned(monkeypatch):
    """From now on storage holds values that no fill makes, until it is filled."""
    fill = init_filling.fill

    def poison(skeleton, *more):
        with torch.no_grad():
            for tensor in (*skeleton.root.parameters(), *skeleton.root.buffers()):
                tensor.fill_(math.nan if tensor.is_floating_point() else -77)
        fill(skeleton, *more)

    monkeypatch.setattr(init_filling, "fill", poison)


@pytest.mark.parametrize("name", WITH_TENSORS)
def test_no_byte_is_left_uninitialised(name, monkeypatch):
    node = {"layers": {"layer": WITH_TENSORS[name]}}
    shape = {each: tuple(tensor.shape) for each, tensor in modelzoo.build(node).layer.state_dict().items()}
    poisoned(monkeypatch)
    built = modelzoo.build(node).layer
    found = dict(built.state_dict())
    assert {each: tuple(tensor.shape) for each, tensor in found.items()} == shape
    for each, tensor in found.items():
        assert bool(torch.isfinite(tensor).all()), each
        assert not bool((tensor == -77).any()), each


def test_the_poison_shows_where_a_fill_is_left_out(monkeypatch):
    poisoned(monkeypatch)
    monkeypatch.setattr(drawing, "run", lambda tasks, threads=None: None)
    built = modelzoo.build({"layers": {"layer": "Linear(4, 6)"}}).layer
    assert bool(torch.isnan(built.weight).all())


def test_every_layer_of_the_catalog_with_tensors_is_among_these():
    filling = ("reset_parameters", "_reset_parameters")
    with_tensors = {name for name, layer in LAYERS.items() if any(hasattr(layer.cls, each) for each in filling)}
    without_own = {
        "TransformerEncoder",
        "TransformerDecoder",
        "TransformerEncoderLayer",
        "TransformerDecoderLayer",
        "PReLU",
    }
    assert with_tensors | without_own == set(WITH_TENSORS)


# -- the ledger -------------------------------------------------------------------------------------------------------


def test_the_ledger_says_who_matched_who_won_and_who_was_erased():
    rules = {
        "first": {"param": "weight", "fill": "xavier_uniform"},
        "second": {"layer": "Linear", "fill": "normal(std=0.5)"},
        "third": {"name": "last.*", "fill": "value * 2"},
    }
    model = {**MODEL, "layers": {name: each for name, each in MODEL["layers"].items() if name != "norm"}}
    found = {each.name: each for each in modelzoo.plan(model, rules, seed=5).tensors}
    weight = found["first.weight"]
    assert (weight.rule, weight.erased, weight.stream) == ("init.second", ("init.first",), "3:5:first.weight")
    assert weight.matched == ("init.first", "init.second")
    last = found["last.weight"]
    assert (last.rule, last.erased) == ("init.third", ("init.first",))
    assert last.fill == "normal(mean=0.0, std=0.5) -> value * 2"


def test_the_ledger_of_a_file_has_the_place_of_every_layer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text("layers:\n  a: Linear(4, 4)\n  b: {layers: ['Linear(4, 2)']}\n")
    assert {each.name: each.where for each in modelzoo.plan("own.yaml").tensors} == {
        "a.weight": "own.yaml:2:3",
        "a.bias": "own.yaml:2:3",
        "b.0.weight": "own.yaml:3:16",
        "b.0.bias": "own.yaml:3:16",
    }


# -- fills see where they are -----------------------------------------------------------------------------------------


def test_a_fill_may_depend_on_args_of_the_block_and_on_the_index_of_a_repeat():
    model = {
        "args": {"depth": 3},
        "blocks": {
            "Scaled": {
                "args": ["n"],
                "parameters": {"w": {"shape": [100, 100], "fill": "normal(std=0.1 / (2 * n) ** 0.5)"}},
                "forward": "x @ w",
            }
        },
        "layers": [{"_target_": "Scaled(i + 1)", "_repeat_": "depth"}],
    }
    for number, tensor in enumerate(modelzoo.build(model).parameters(), 1):
        assert tensor.std().item() == pytest.approx(0.1 / (2 * number) ** 0.5, rel=0.03)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_values_are_the_rounded_wide_ones(dtype):
    wide, narrow = values(MODEL), values(MODEL, dtype=str(dtype).removeprefix("torch."))
    assert all(torch.equal(narrow[name], each.to(dtype)) for name, each in wide.items())


def test_gains_and_fans_are_those_of_torch_on_transposed_and_grouped_convolutions():
    model = {"layers": {"t": "ConvTranspose2d(32, 64, 3, groups=4)", "g": "Conv2d(32, 64, 3, groups=4)"}}
    rule = {"all": {"param": "weight", "fill": "kaiming_normal(mode='fan_out', nonlinearity='relu')"}}
    built = modelzoo.build(model, rule)
    for ours, theirs in ((built.t, nn.ConvTranspose2d(32, 64, 3, groups=4)), (built.g, nn.Conv2d(32, 64, 3, groups=4))):
        generator = torch.Generator().manual_seed(0)  # without a seed 3 % are exceeded now and then
        nn.init.kaiming_normal_(theirs.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        assert ours.weight.std().item() == pytest.approx(theirs.weight.std().item(), rel=0.03)


def test_the_fill_of_an_example_cannot_read_what_is_not_there():
    model = {"inputs": {"x": {"shape": [2, 4], "fill": "value + 1"}}, "layers": ["Linear(4, 2)"]}
    with pytest.raises(modelzoo.ConfigError) as caught:
        draft.example_inputs(draft.draft(model), "cpu")
    assert str(caught.value) == (
        "model.inputs.x.fill\n  an example has no value before its fill. Write normal(), or a number."
    )


# -- refusals ---------------------------------------------------------------------------------------------------------


def refusal(model, init):
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build(model, init)
    return str(caught.value)


def test_a_fill_that_no_tensor_can_take_is_reported_once():
    assert refusal(MODEL, {"all": {"layer": "Linear", "fill": "normal(std=-1)"}}) == (
        "init.all.fill\n  init.all cannot fill 'first.weight' and 5 more: normal needs std to be 0 or more, not -1."
    )


FANS = "fan_in and fan_out need at least 2 dimensions, not 1."


@pytest.mark.parametrize(
    ("fill", "what"),
    [
        (
            "normal(std=1 / fan_in)",
            f"init.all.fill\n  init.all cannot fill 'norm.weight': {FANS} Write param: weight.",
        ),
        ("normal() * fan_in", f"init.all.fill\n  init.all cannot fill 'norm.weight' and 1 more: {FANS}"),
    ],
)
def test_fans_of_a_bias_are_refused_in_so_many_words(fill, what):
    assert refusal(MODEL, {"all": {"layer": "LayerNorm", "fill": fill}}) == what


@pytest.mark.parametrize(
    ("fill", "what"),
    [
        ("(normal(), 1)", "gives 'first.weight' and 1 more several values instead of a number or a tensor."),
        ("None", "gives 'first.weight' and 1 more null instead of a number or a tensor."),
        ("{'a': 1}", "gives 'first.weight' and 1 more a dict instead of a number or a tensor."),
        ("1 > 0", "gives 'first.weight' and 1 more true instead of a number."),
        ("name", "gives 'first.weight' and 1 more 'GELU' instead of a number or a tensor."),
        ("names", "gives 'first.weight' and 1 more several values instead of a number or a tensor."),
        ("(0 - 8) ** 0.5 * 0", "gives 'first.weight' and 1 more 0j instead of a number or a tensor."),
        ("act", "gives 'first.weight' and 1 more a layer instead of a number or a tensor."),
        ("zeros(5)", "gives 'first.weight' and 1 more shape [5] instead of [8, 8]."),
        ("zeros(1, 8, 8)", "gives 'first.weight' and 1 more shape [1, 8, 8] instead of [8, 8]."),
        ("view_as_complex(ones(8, 8, 2))", "gives 'first.weight' and 1 more complex numbers, which float32 cannot hold."),
        ("log(ones() - 1)", "fills 'first.weight' and 1 more with values that are not finite."),
        ("log(0 - 1)", "cannot fill 'first.weight' and 1 more: math domain error."),
        ("ones() / (depth - 2)", "fills 'first.weight' and 1 more with values that are not finite."),
        ("1 / (depth - 2)", "cannot fill 'first.weight' and 1 more: division by zero."),
        ("names[2]", "cannot fill 'first.weight' and 1 more: tuple index out of range."),
        ("10.0 ** (depth * 200)", "cannot fill 'first.weight' and 1 more: Numerical result out of range."),
        ("normal(std=name)", "cannot fill 'first.weight' and 1 more: normal needs a number as std, not 'GELU'."),
        ("relu()", "cannot fill 'first.weight' and 1 more: relu() missing 1 required positional argument: 'input'."),
    ],
)  # fmt: skip
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_text_that_gives_no_tensor_is_refused_by_the_plan(fill, what, device):
    args = {"name": "GELU", "names": [1, 2], "depth": 2, "act": {"_target_": "GELU"}}
    model = {**layers(last=None), "args": args}
    with pytest.raises(modelzoo.ConfigError) as caught:
        draft.draft(model, {"all": {"param": "weight", "layer": "Linear", "fill": fill}}, device=device)
    told = str(caught.value).split("\n  init.all ")[1].split("\n")[0]
    assert told == what


def test_a_text_that_fails_is_shown_where_it_fails(tmp_path):
    file = tmp_path / "model.yaml"
    file.write_text(
        "model:\n"
        "  inputs: {x: {shape: [2, 4], fill: zeros(3)}}\n"
        "  layers: ['Linear(4, 4)']\n"
        "init:\n"
        "  first:\n"
        "    param: weight\n"
        "    fill: |\n"
        "      w = normal()\n"
        "      w[4, 0] = 1\n"
        "      return w\n"
    )
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan(file)
    assert str(caught.value) == (
        f"{file}:2:31  model.inputs.x.fill\n  model.inputs.x gives 'input x' shape [3] instead of [2, 4]."
    )
    file.write_text(file.read_text().replace("zeros(3)", "zeros"))
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.plan(file)
    assert str(caught.value) == (
        f"{file}:9:7  init.first.fill\n"
        "  init.first cannot fill '0.weight': index 4 is out of bounds for dimension 0 with size 4."
    )


def test_a_text_whose_loop_does_not_end_is_refused_by_the_plan():
    fill = "w = ones()\nwhile w.sum() > 0:\n  w = w + 1\nreturn w"
    assert refusal(MODEL, {"all": {"name": "last.bias", "fill": fill}}) == (
        "init.all.fill\n"
        "  init.all cannot fill 'last.bias': this loop did not end after 10,000 steps: while w.sum() > 0:. "
        "Set max_steps=... if it should turn more often."
    )


@pytest.mark.parametrize("fill", ["zeros(5)", "log(0 - 1)", "ones() @ ones(7)", "(1, 2)"])
def test_a_text_for_a_tensor_of_any_size_is_tried(fill):
    huge = {"parameters": {"w": {"shape": [2**20, 2**10], "fill": fill}}, "forward": "x"}
    with pytest.raises(modelzoo.ConfigError, match=r"model.parameters.w (gives|cannot fill) 'w'"):
        modelzoo.plan(huge)


@pytest.mark.parametrize("fill", ["normal() if float(normal().mean()) > 9 else ones()", "normal() * (value > 0)"])
def test_what_a_huge_tensor_gets_may_depend_on_what_is_drawn(fill):
    tensor = {"shape": [2**20, 2**10], "fill": "uniform(-1, 1)"}
    plan = modelzoo.plan({"buffers": {"w": tensor}, "forward": "x"}, {"later": {"name": "w", "fill": fill}})
    assert plan.tensors[0].rule == "init.later"


def test_a_text_is_computed_once_for_each_tensor():
    calls = []

    @modelzoo.register.function(name="noted")
    def noted(value):
        calls.append(tuple(value.shape))
        return value

    rules = {"all": {"param": "weight", "fill": "noted(normal())"}}
    drawn = values(MODEL, rules)
    assert sorted(calls) == [(3, 8), (8,), (8, 8), (8, 8)]
    assert not torch.equal(drawn["first.weight"], drawn["second.weight"])
    calls.clear()
    modelzoo.plan(MODEL, rules)
    assert sorted(calls) == [(3, 8), (8,), (8, 8)]  # equal texts of equal shape are tried once


def test_what_a_text_draws_depends_on_the_seed_and_the_name_alone():
    rules = {"all": {"param": "weight", "fill": "randn_like(value) * rand(1) + dropout(ones())"}}
    first = values(MODEL, rules)
    torch.manual_seed(7)
    again = values(layers(new="Linear(3, 2)"), rules, seed=0)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["first.weight"], first["second.weight"])
    assert not torch.equal(first["first.weight"], values(MODEL, rules, seed=1)["first.weight"])


def test_a_fill_of_ones_own_may_raise_anything():
    @modelzoo.register.fill
    def raising(tensor, *, generator):
        raise KeyError("width")

    what = "init.all.fill\n  init.all cannot fill 'first.weight': there is no 'width' here."
    assert refusal(MODEL, {"all": {"name": "first.weight", "fill": "raising"}}) == what


def test_a_rule_fits_a_model_with_an_arg_that_is_called_like_its_local():
    rule = {"all": {"param": "weight", "name": "first.weight", "fill": "w = ones() * depth\nreturn w + 1"}}
    model = modelzoo.build({**MODEL, "args": {"w": 5, "depth": 2}}, rule)
    assert model.first.weight.unique().item() == 3


def test_hundreds_of_rules_without_effect_are_warnings_still():
    rules = {f"rule{index}": {"layer": "Conv2d", "param": f"weight{index}", "fill": 0} for index in range(300)}
    plan = modelzoo.plan({"layers": ["Linear(4, 2)"]}, rules)
    assert len(plan.warnings) == 200
