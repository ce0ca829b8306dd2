"""The language, sentence by sentence: what is accepted gives this spec or this module, what is refused this message."""

from __future__ import annotations

import contextlib
import copy
import linecache
import math
import pickle
import textwrap
import time

import pytest
import torch
import yaml
from torch import nn
from torch.nn.utils import parametrize, prune

import modelzoo
from modelzoo.spec import nodes, parser
from tests.helpers.composing import compose
from tests.helpers.documents import run

torch.set_num_threads(1)


def data(text):
    return yaml.safe_load(textwrap.dedent(text))


def build(text, **options):
    return modelzoo.build(data(text), **options)


def parsed(text):
    return parser.parse(data(text))


def answer(text):
    """The whole message that answers a model."""
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build(data(text))
    return str(caught.value)


def message(where, *sentences):
    return "\n".join([where, *(f"  {each}" for each in sentences)])


def same(text, twin, *inputs):
    """The built model and a hand-written twin with its values: equal keys in equal order, bit-equal outputs."""
    model = build(text)
    assert list(model.state_dict()) == list(twin.state_dict())
    twin.load_state_dict(model.state_dict())
    model.eval(), twin.eval()
    for x in inputs:
        assert torch.equal(model(x), twin(x))
    return model


def values(model):
    """Each parameter's only value, for models filled with constants."""
    return {name: each.unique().item() for name, each in model.named_parameters()}


X = torch.linspace(-3, 3, 8).reshape(2, 4)


# === 1.1 A layer ===================================================================================================


def test_a_mapping_and_a_text_give_the_same_spec():
    text = parsed("layers: {hidden: 'Linear(20, 256, bias=False)'}")
    mapping = parsed("layers: {hidden: {_target_: Linear, in_features: 20, out_features: 256, bias: false}}")
    assert repr(text) == repr(mapping)
    ((name, call),) = text.layers
    assert (name, call.target) == ("hidden", "Linear")
    assert call.arguments == (("in_features", 20), ("out_features", 256), ("bias", False))


def test_without_arguments_the_name_is_enough():
    texts = ("layers: {act: ReLU}", "layers: {act: ReLU()}", "layers: {act: {_target_: ReLU}}")
    assert len({repr(parsed(each)) for each in texts}) == 1


def test_both_notations_meet_in_one_mapping():
    model = build(
        """
        args: {dim: 4, depth: 2}
        blocks: {Block: {args: [dim, heads], layers: ["Linear(dim, heads)", "Linear(heads, dim)"]}}
        layers: {h: {_target_: "Block(dim, 3)", _repeat_: depth}}
        """
    )
    shapes = [tuple(each.shape) for name, each in model.named_parameters() if name.endswith("weight")]
    assert shapes == [(3, 4), (4, 3), (3, 4), (4, 3)]


def test_a_call_in_target_takes_the_other_keys_as_its_arguments():
    model = build("layers: {a: {_target_: Linear(4), out_features: 2}, b: {_target_: Linear(2), _args_: [3, false]}}")
    assert repr(model.a) == "Linear(in_features=4, out_features=2, bias=True)"
    assert repr(model.b) == "Linear(in_features=2, out_features=3, bias=False)"
    assert answer('layers: [{_target_: "Linear(4, 2)", in_features: 3}]') == message(
        "model.layers.0.in_features", "Linear gets 'in_features' twice. Remove one."
    )


def test_target_takes_a_catalog_name_its_dotted_form_a_blocks_name_or_a_call():
    model = build(
        """
        blocks: {Mine: {args: [dim], layers: ["Linear(dim, dim)"]}}
        layers:
          - {_target_: Linear, in_features: 4, out_features: 4}
          - {_target_: torch.nn.Linear, in_features: 4, out_features: 4}
          - {_target_: Mine, dim: 4}
          - {_target_: "Linear(4, 4)"}
        """
    )
    assert [type(each) for each in model] == [nn.Linear, nn.Linear, nn.Sequential, nn.Linear]


def test_args_gives_positional_arguments():
    assert repr(build("layers: [{_target_: Linear, _args_: [4, 2], bias: false}]")[0]) == repr(nn.Linear(4, 2, False))


def test_a_config_for_hydras_instantiate_builds_unchanged():
    from hydra import utils

    allowed = getattr(utils, "execution_whitelist", contextlib.nullcontext)  # Hydra 1.3 allows everything
    text = """
        _target_: torch.nn.TransformerEncoder
        _convert_: all
        _recursive_: true
        encoder_layer: {_target_: torch.nn.TransformerEncoderLayer, d_model: 4, nhead: 2, batch_first: true}
        num_layers: 2
        norm: {_target_: torch.nn.LayerNorm, _args_: [4]}
        enable_nested_tensor: false
        """
    with allowed("torch.nn.*"):
        theirs = utils.instantiate(data(text))
    ours = build(text)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (
            "{_target_: Linear, in_features: 4, out_features: 2, _partial_: true}",
            message(
                "model.layers.0._partial_", "'_partial_' is not accepted: a layer is built, not prepared. Remove it."
            ),
        ),
        (
            "{_target_: Linear, in_features: 4, out_features: 2, device: cuda}",
            message(
                "model.layers.0.device", "Linear has no argument 'device'. It is set for a whole model: device=..."
            ),
        ),
        (
            "{_target_: Linear, in_features: 4, out_features: 2, dtype: float16}",
            message("model.layers.0.dtype", "Linear has no argument 'dtype'. It is set for a whole model: dtype=..."),
        ),
        (
            "{_target_: Linear, in_features: 4, out_features: 2, _recursive_: false}",
            message(
                "model.layers.0._recursive_",
                "_recursive_: false has no meaning here: nested layers are always built. Remove it.",
            ),
        ),
        (
            "{_target_: torch.nn.functional.relu}",
            message("model.layers.0._target_", "there is no layer 'torch.nn.functional.relu'. Did you mean 'ReLU'?"),
        ),
        (
            "{_target_: os.system, command: ls}",
            message("model.layers.0._target_", "there is no layer 'os.system'. Did you mean 'LSTM'?"),
        ),
    ],
)
def test_partial_device_dtype_and_callables_are_refused(layer, expected):
    assert answer(f"layers: [{layer}]") == expected


def test_the_mapping_form_is_swept_key_by_key(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/own.yaml").write_text(
        "inputs: {x: [2, 4]}\nlayers: [{_target_: Linear, in_features: 4, out_features: 1}]\n"
    )
    code, printed = run("python run.py -m model=own model.layers.0.out_features=3,5", 0)
    assert code == 0, printed
    shapes = [tuple(modelzoo.build(each)[0].weight.shape) for each in tmp_path.rglob("model.yaml")]
    assert sorted(shapes) == [(3, 4), (5, 4)]


def test_the_text_form_is_replaced_whole():
    assert compose("model=regression", "model.layers.1=GELU")[0]["layers"][1] == "GELU"
    assert compose("model=regression", "model.layers.1='LeakyReLU(0.1)'")[0]["layers"][1] == "LeakyReLU(0.1)"
    assert compose("model=regression", "model.layers.1={_target_:GELU}")[0]["layers"][1] == {"_target_": "GELU"}


def test_a_call_typed_without_inner_quotes_is_answered_with_the_line_to_type(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run('python run.py model=regression "model.layers.1=LeakyReLU(0.1)"', 0) == (
        1,
        "command line  model.layers.1=LeakyReLU(0.1)\n"
        "  Hydra reads LeakyReLU(...) as a function of its own. "
        "Put the text in quotes of its own: \"model.layers.1='LeakyReLU(0.1)'\"\n",
    )


def test_a_key_of_a_text_is_answered_with_replace_it_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("python run.py model=mlp model.layers.hidden.out_features=8", 0) == (
        1,
        "command line  model.layers.hidden.out_features=8\n"
        "  'model.layers.hidden' is written as text, Linear(dim, width). "
        "Replace it whole: \"model.layers.hidden='Linear(dim, width)'\"\n",
    )


def test_text_is_code_in_layers_target_if_repeat_shape_fill_and_forward():
    model = build(
        """
        args: {dim: 4, wide: true, std: 0.0}
        inputs: {x: [2, dim]}
        layers:
          a: Linear(dim, 2 * dim)
          b: {_target_: "Linear(2 * dim, dim)", _if_: wide and dim > 3, _repeat_: dim // 4}
        parameters: {s: {shape: [dim - 1, "=dim"], fill: constant(std + 1)}}
        forward: sum(s) * b(a(x))
        """
    )
    assert model.s.shape == (3, 4)
    assert torch.equal(model.s, torch.ones(3, 4))
    assert repr(model.b) == repr(nn.Sequential(nn.Linear(8, 4)))


def test_elsewhere_a_string_is_a_string_and_a_leading_equals_makes_it_a_formula():
    model = build(
        """
        args: {dim: 4, mode: tanh, wide: =4 * dim}
        layers:
          - {_target_: Linear, in_features: =dim, out_features: =wide}
          - {_target_: GELU, approximate: tanh}
          - {_target_: GELU, approximate: =mode}
        """
    )
    expected = nn.Sequential(nn.Linear(4, 16), nn.GELU(approximate="tanh"), nn.GELU(approximate="tanh"))
    assert repr(model) == repr(expected)
    assert answer("args: {dim: 4}\nlayers: [{_target_: Linear, in_features: dim, out_features: 2}]") == message(
        "model.layers.0.in_features",
        "in_features of Linear must be a positive integer, not 'dim'. A formula begins with '=': in_features: =dim",
    )


def test_where_text_is_code_the_equals_sign_may_be_written_too():
    plain = "args: {d: 4}\nlayers: [{_target_: 'Linear(d, d)', _if_: d > 1, _repeat_: d // 2}, 'ReLU']\n"
    signs = "args: {d: 4}\nlayers: [{_target_: '=Linear(d, d)', _if_: =d > 1, _repeat_: =d // 2}, '=ReLU']\n"
    assert repr(build(plain)) == repr(build(signs))
    x = torch.ones(2)
    assert torch.equal(build("forward: x + 1")(x), build("forward: =x + 1")(x))


def test_a_list_or_a_mapping_with_layers_or_forward_is_a_block_wherever_a_layer_may_stand():
    same(
        """
        inputs: {x: [2, 4]}
        blocks: {Twice: {args: [part], layers: [=part, =part]}}
        layers:
          - ["Linear(4, 4)", ReLU]
          - {layers: {a: "Linear(4, 4)"}}
          - {forward: x + 1}
          - {_target_: Sequential, _args_: [{layers: ["Linear(4, 4)"]}]}
          - {_target_: Twice, part: ["Linear(4, 4)"]}
        """,
        nn.Sequential(
            nn.Sequential(nn.Linear(4, 4), nn.ReLU()),
            nn.Sequential(modules(a=nn.Linear(4, 4))),
            Add(1),
            nn.Sequential(nn.Sequential(nn.Linear(4, 4))),
            nn.Sequential(nn.Sequential(nn.Linear(4, 4)), nn.Sequential(nn.Linear(4, 4))),
        ),
        X,
    )


class Add(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.n = n

    def forward(self, x):
        return x + self.n


def modules(**named):
    from collections import OrderedDict

    return OrderedDict(named)


def test_a_layer_call_inside_a_texts_arguments_is_a_layer():
    same(
        "layers: {net: 'Sequential(Linear(4, 8), Sequential(ReLU, Linear(8, 2)))'}",
        nn.Sequential(
            modules(net=nn.Sequential(nn.Linear(4, 8), nn.Sequential(nn.ReLU(), nn.Linear(8, 2)))),
        ),
        X,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "layers: [Linear(4, 8), ReLU]",
            message(
                "model.layers.0",
                "YAML cut a text in two at its comma: 'Linear(4' is not a layer. Write [\"Linear(4, 8)\", ReLU].",
            ),
        ),
        (
            "layers: {a: Linear(4, 8), b: ReLU}",
            message(
                "model.layers.8)",
                "YAML cut a text in two at its comma: '8)' is no key. Put the text in quotes: a: \"Linear(4, 8)\".",
            ),
        ),
        (
            "layers: [{_target_: Linear(4, 8), _repeat_: 2}]",
            message(
                "model.layers.0.8)",
                "YAML cut a text in two at its comma: '8)' is no key. Put the text in quotes: _target_: \"Linear(4, 8)\".",
            ),
        ),
        (
            "forward: x * s\nparameters: {s: {shape: [8], fill: uniform(0, 1)}}",
            message(
                "model.parameters.s.1)",
                "YAML cut a text in two at its comma: '1)' is no key. Put the text in quotes: fill: \"uniform(0, 1)\".",
            ),
        ),
        (
            "args: {wide: =max(1, 2)}\nlayers: [ReLU]",
            message(
                "model.args.2)",
                "YAML cut a text in two at its comma: '2)' is no key. Put the text in quotes: wide: \"=max(1, 2)\".",
            ),
        ),
        (
            "blocks: {B: {args: [dim, kernel=(1, 2)], layers: [ReLU]}}\nlayers: [B(1)]",
            message(
                "model.blocks.B.args.1",
                "YAML cut a text in two at its comma: 'kernel=(1' is not an arg. Write [dim, \"kernel=(1, 2)\"].",
            ),
        ),
    ],
)
def test_a_text_that_yaml_cut_in_two_is_answered_with_the_quoted_line(text, expected):
    assert answer(text) == expected


def test_brackets_and_colons_in_flow_yaml_need_quotes_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    needs = "Inside [] and {} a text with a comma, a bracket, a colon or ??? needs quotes."
    for text, column, seen, more in (
        ("{fill: w[0]}", 17, "did not find expected ',' or '}'.", ' Write layers: {fill: "w[0]"}'),
        ("{a: x if b: c}", 19, "did not find expected ',' or '}'.", ""),
    ):
        (tmp_path / "own.yaml").write_text(f"layers: {text}\n")
        with pytest.raises(modelzoo.ConfigError) as caught:
            modelzoo.build("own.yaml")
        assert needs in str(caught.value)
        if yaml.__with_libyaml__:  # PyYAML without it has other words
            assert str(caught.value) == message(f"own.yaml:1:{column}", f"This is not YAML: {seen} {needs}{more}")


def test_an_input_size_that_the_data_decides_may_be_left_out():
    model = build("inputs: {x: [2, 3]}\nlayers: ['Linear(out_features=64)', 'Linear(out_features=1)']")
    assert repr(model) == repr(nn.Sequential(nn.Linear(3, 64), nn.Linear(64, 1)))


def test_null_and_a_false_if_are_one_thing_the_child_is_absent():
    null, false = "layers: {a: ReLU, b: null, c: Tanh}", "layers: {a: ReLU, b: {_target_: ELU, _if_: false}, c: Tanh}"
    assert repr(build(null)) == repr(build(false)) == repr(nn.Sequential(modules(a=nn.ReLU(), c=nn.Tanh())))
    texts = [f"{each}\nforward: a(x) if b is None else b(x)" for each in (null, false)]
    for text in texts:
        assert build(text).b is None
        assert torch.equal(build(text)(X), X.relu())


# === 1.2 A block ===================================================================================================


def test_a_block_has_args_inputs_layers_parameters_buffers_a_forward_definitions_and_ties():
    class Twin(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(8))
            self.register_buffer("shift", torch.full((4,), 0.5))
            self.hidden = nn.Linear(4, 8)
            self.mine = nn.Sequential(nn.Linear(8, 8))
            self.out = nn.Linear(8, 2)
            self.tied = nn.Linear(8, 2)
            self.tied.weight = self.out.weight

        def forward(self, x):
            x = torch.relu(self.hidden(x + self.shift)) * self.scale
            x = self.mine(x)
            return self.out(x) + self.tied(x)

    model = same(
        """
        args: {dim: 4, width: 8, quarter: =width // 4}
        inputs: {x: [2, dim]}
        layers:
          hidden: Linear(dim, width)
          mine: MyBlock(width)
          out: Linear(width, quarter)
          tied: Linear(width, quarter)
        parameters:
          scale: {shape: [width], fill: ones}
        buffers:
          shift: {shape: [dim], fill: 0.5}
        forward: |
          x = relu(hidden(x + shift)) * scale
          x = mine(x)
          return out(x) + tied(x)
        blocks: {MyBlock: {args: [dim, stride=1], layers: ["Linear(dim, dim)"]}}
        tie: {tied.weight: out.weight}
        """,
        Twin(),
        X,
    )
    assert model.tied.weight is model.out.weight
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in Twin().named_parameters()]


def test_a_default_may_be_a_formula_over_earlier_args():
    assert build("args: {a: 2, b: =3 * a, c: =a + b}\nlayers: ['Linear(b, c)']")[0].weight.shape == (8, 6)
    assert build("blocks: {B: {args: [a, b=3 * a], layers: ['Linear(a, b)']}}\nlayers: [B(2)]")[0][0].out_features == 6
    assert answer("args: {b: =3 * a, a: 2}\nlayers: ['Linear(a, b)']") == message(
        "model.args.b", "there is no value 'a'"
    )


def test_an_input_of_the_root_has_an_example_a_shape_or_a_shape_dtype_and_fill(tmp_path, monkeypatch):
    planned = modelzoo.plan(
        data(
            """
            args: {n: 3}
            inputs: {x: [2, n], tokens: {shape: [n], dtype: int64, fill: 7}, mask: null}
            forward: x.sum() + tokens.sum()
            """
        )
    )
    assert [(each.name, each.shape, each.dtype) for each in planned.inputs] == [
        ("x", (2, 3), "float32"),
        ("tokens", (3,), "int64"),
    ]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/own.yaml").write_text(
        "inputs: {t: {shape: [3], dtype: int64, fill: 7}}\nforward: t.sum()\n"
    )
    code, printed = run("python run.py model=own", 0)
    assert code == 0
    assert "  tensor(21)\n" in printed


def test_layers_are_a_mapping_or_a_list_with_the_names_of_sequential():
    assert list(build("layers: {a: ReLU, b: Tanh}")._modules) == ["a", "b"]
    assert list(build("layers: [ReLU, Tanh]")._modules) == ["0", "1"]


def test_parameters_are_trainable_tensors_of_the_block():
    model = build("parameters: {s: {shape: [4], fill: ones}}\nforward: x * s")
    assert isinstance(model.s, nn.Parameter)
    assert model.s.requires_grad


def test_buffers_are_never_trained_and_persistent_false_keeps_one_out_of_the_state_dict():
    model = build(
        """
        buffers: {a: {shape: [4], fill: ones}, b: {shape: [4], fill: ones, persistent: false}}
        forward: x * a * b
        """
    )
    assert dict(model.named_parameters()) == {}
    assert list(dict(model.named_buffers())) == ["a", "b"]
    assert list(model.state_dict()) == ["a"]


def test_a_definition_is_used_with_positional_or_named_arguments():
    text = "blocks: {{MyBlock: {{args: [dim, stride=1], layers: ['Linear(dim, stride)']}}}}\nlayers: [{}]"
    expected = repr(nn.Sequential(nn.Sequential(nn.Linear(3, 1))))
    for each in ("MyBlock(3)", "MyBlock(dim=3)", '"MyBlock(3, 1)"', "{_target_: MyBlock, dim: 3}"):
        assert repr(build(text.format(each))) == expected
    assert answer(text.format("MyBlock")) == message("model.layers.0", "MyBlock needs the arg 'dim'. Write dim=...")
    assert answer(text.format('"MyBlock(3, strid=2)"')) == message(
        "model.layers.0", "MyBlock has no argument 'strid'. Did you mean 'stride'?"
    )
    assert answer(text.format('"MyBlock(1, 2, 3)"')) == message(
        "model.layers.0", "MyBlock takes at most 2 arguments by position, not 3."
    )


def test_a_signature_is_a_mapping_or_a_list_of_python_parameters():
    mapping = parsed("args: {dim: 3, stride: 1}\nlayers: [ReLU]").args
    listed = parsed("args: [dim=3, stride=1]\nlayers: [ReLU]").args
    assert mapping == listed == (nodes.Parameter(name="dim", default=3), nodes.Parameter(name="stride", default=1))


def test_inputs_default_to_x():
    assert [each.name for each in parsed("layers: [ReLU]").inputs] == ["x"]
    assert torch.equal(build("forward: x + 1")(x=X), X + 1)


def test_inputs_are_positional_in_written_order_and_null_is_optional():
    for text in ("inputs: [x, mask=None]", "inputs: {x: [2, 4], mask: null}"):
        model = build(f"{text}\nforward: 'x if mask is None else x * mask'")
        assert torch.equal(model(X), X)
        assert torch.equal(model(X, 2 * X), X * 2 * X)
        assert torch.equal(model(mask=X, x=X), X * X)
    assert answer("inputs: {mask: null, x: [2, 4]}\nforward: x") == message(
        "model.inputs.x", "the input 'x' has no default but follows one that has. Put it first."
    )


def test_an_arg_is_required_by_question_marks_or_by_no_default_in_a_list():
    assert answer("args: {dim: '???', wide: =2 * dim}\nlayers: ['Linear(dim, wide)']") == message(
        "model.args.dim", "this arg is required. Type model.args.dim=..."
    )
    assert parsed("blocks: {B: {args: [dim], layers: [ReLU]}}\nlayers: [B(1)]").blocks[0][1].args == (
        nodes.Parameter(name="dim", default=nodes.REQUIRED),
    )
    assert answer("blocks: {B: {args: [stride=1, dim], layers: [ReLU]}}\nlayers: [ReLU]") == message(
        "model.blocks.B.args.1", "the arg 'dim' has no default but follows one that has. Put it first."
    )


def test_without_forward_a_block_is_a_sequential():
    model = build("layers: {a: 'Linear(4, 8)', b: ReLU, c: 'Linear(8, 2)'}")
    assert type(model) is nn.Sequential
    assert model[0] is model.a
    assert model[-1] is model.c
    assert repr(model[1:]) == repr(nn.Sequential(modules(b=nn.ReLU(), c=nn.Linear(8, 2))))
    assert list(model.state_dict()) == ["a.weight", "a.bias", "c.weight", "c.bias"]
    assert answer("inputs: [x, y]\nlayers: [ReLU]") == message(
        "model.inputs", "without forward a block is an nn.Sequential and takes one input, not 2. Write a forward."
    )
    assert answer("layers: [ReLU]\nparameters: {s: {shape: [2], fill: zeros}}") == message(
        "model.parameters.s",
        "without forward a block is an nn.Sequential and has no tensors of its own, not 's'. Write a forward that uses it.",
    )


def test_a_tensor_is_a_shape_a_fill_and_a_dtype_wherever_it_lives_and_its_fill_sees_the_blocks_args():
    model = build(
        """
        blocks:
          Inner:
            args: [n, v=2]
            parameters: {p: {shape: [n], fill: =v * 10}}
            buffers: {b: {shape: [n, n], fill: v + n, dtype: int64}}
            forward: x * p
        layers: {a: Inner(3), b: "Inner(2, v=5)"}
        """,
        dtype="float64",
    )
    assert (model.a.p.dtype, model.a.b.dtype) == (torch.float64, torch.int64)
    assert torch.equal(model.a.p, torch.full((3,), 20.0, dtype=torch.float64))
    assert torch.equal(model.b.b, torch.full((2, 2), 7))
    assert answer("parameters: {p: {fill: 1}}\nforward: x * p") == message(
        "model.parameters.p", "a tensor is a shape and a fill. Write p: {shape: [8], fill: ones}."
    )


CLOSED = "A definition sees its own args: add {} to them, and give it where the definition is used."


def test_a_definition_is_closed_it_sees_its_own_names_and_its_siblings():
    model = build(
        """
        blocks:
          Outer: {args: [n], layers: {first: "Linear(n, n)", again: {_ref_: first}, inner: Inner(n)}}
          Inner: {args: [n], layers: ["Linear(n, 1)"]}
        layers: [Outer(2)]
        """
    )
    assert model[0].again is model[0].first
    assert model[0].inner[0].weight.shape == (1, 2)
    assert answer("args: {dim: 4}\nblocks: {B: {layers: [Dropout(dim)]}}\nlayers: [B]") == message(
        "model.blocks.B.layers.0", f"there is no value 'dim'. {CLOSED.format('dim')}"
    )
    inner = "args: {dim: 4}\nblocks: {B: {args: [dims=1], layers: {c: {forward: x * dim}}, forward: c(x)}}"
    assert answer(f"{inner}\nlayers: [B]") == message(
        "model.blocks.B.layers.c.forward", f"there is no value 'dim'. {CLOSED.format('dim')}"
    )
    assert answer("blocks: {B: {layers: {b: {_ref_: a}}}}\nlayers: {a: ReLU, c: B}") == message(
        "model.blocks.B.layers.b._ref_", "there is no layer 'a' to refer to. Known: b."
    )
    assert answer("blocks: {A: {blocks: {I: [B]}, layers: [I]}, B: [ReLU]}\nlayers: [A]") == message(
        "model.blocks.A.blocks.I.0", "there is no layer 'B'."
    )


def test_a_block_in_place_sees_outwards_through_other_blocks_in_place():
    model = build(
        """
        args: {dim: 4}
        blocks: {B: {args: [n], layers: ["Linear(n, n)"]}}
        layers:
          shared: Linear(dim, dim)
          outer: {layers: {inner: {layers: {again: {_ref_: shared}, b: B(dim), own: {forward: x * dim}}}}}
        """
    )
    assert model.outer.inner.again is model.shared
    assert model.outer.inner.b[0].in_features == 4
    assert torch.equal(model.outer.inner.own(X), X * 4)


def test_a_forward_sees_no_layer_of_the_block_outside_and_is_told_to_refer_to_it():
    assert answer("layers: {a: ReLU, b: {forward: a(x)}}") == message(
        "model.layers.b.forward", "'a' belongs to the block outside. Add a: {_ref_: a} to this block's layers."
    )


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("args: {n: 1}\nlayers: {n: ReLU}", "model.layers.n", "'n' is an arg and a layer of this block."),
        ("inputs: {n: [1]}\nlayers: {n: ReLU}", "model.layers.n", "'n' is an input and a layer of this block."),
        (
            "args: {n: 1}\ninputs: {n: [1]}\nlayers: [ReLU]",
            "model.inputs.n",
            "'n' is an arg and an input of this block.",
        ),
        (
            "layers: {n: ReLU}\nparameters: {n: {shape: [], fill: 0}}\nforward: n(x)",
            "model.parameters.n",
            "'n' is a layer and a parameter of this block.",
        ),
        (
            "parameters: {n: {shape: [], fill: 0}}\nbuffers: {n: {shape: [], fill: 0}}\nforward: n * x",
            "model.buffers.n",
            "'n' is a parameter and a buffer of this block.",
        ),
    ],
)
def test_one_name_for_two_things_of_a_block_is_an_error(text, where, what):
    assert answer(text) == message(where, f"{what} Rename one.")


def test_any_model_file_can_serve_as_a_block_and_be_swapped_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/own.yaml").write_text(
        "defaults: [/model@blocks.NestMLP: nested, _self_]\ninputs: {x: [2, 20]}\nlayers: [NestMLP]\n"
    )
    for more, output in (
        ("", "[2, 16]"),
        (" model.blocks.NestMLP.args.out=3", "[2, 3]"),
        (" model@model.blocks.NestMLP=mlp", "[2, 10]"),
    ):
        code, printed = run(f"python run.py model=own{more}", 0)
        assert code == 0, printed
        assert f"\noutput  {output}  float32  finite\n" in printed


def test_an_arg_may_name_or_describe_a_layer():
    for act in ("LeakyReLU", "LeakyReLU(0.01)", "{_target_: LeakyReLU, negative_slope: 0.01}"):
        model = build(f"args:\n  act: {act}\nlayers: {{a: =act, b: act(), c: 'Sequential(act(), act())'}}")
        assert [repr(each) for each in model.modules() if not len(list(each.children()))] == [repr(nn.LeakyReLU())] * 4
    assert answer("args: {act: 3}\nlayers: [=act]") == message(
        "model.layers.0", "'act' is 3, not a layer. Give a layer: act: GELU."
    )
    assert answer("args: {act: GELUU}\nlayers: [=act]") == message(
        "model.args.act", "there is no layer 'GELUU'. Did you mean 'GELU'?"
    )


def test_an_arg_that_is_a_layer_is_a_recipe_each_use_builds_anew():
    model = build("args: {act: PReLU}\nlayers: {a: =act, b: =act, c: {_ref_: a}}")
    assert model.a is not model.b
    assert model.c is model.a


def test_a_recipe_is_passed_on_to_definitions():
    model = build(
        """
        blocks: {B: {args: [act=GELU, norm=None], layers: {first: =norm, last: act()}}}
        layers: [B, B(ReLU), B(act=LeakyReLU(0.1)), B(norm=LayerNorm(3)), {_target_: B, act: [ReLU, Tanh]}]
        """
    )
    assert [[repr(each) for each in block] for block in model] == [
        [repr(nn.GELU())],
        [repr(nn.ReLU())],
        [repr(nn.LeakyReLU(0.1))],
        [repr(nn.LayerNorm(3)), repr(nn.GELU())],
        [repr(nn.Sequential(nn.ReLU(), nn.Tanh()))],
    ]


def test_a_definition_may_hide_a_catalog_name_and_torch_nn_is_always_torchs():
    model = build("blocks: {RMSNorm: {args: [n], layers: ['LayerNorm(n)']}}\nlayers: [RMSNorm(3), torch.nn.RMSNorm(3)]")
    assert repr(model) == repr(nn.Sequential(nn.Sequential(nn.LayerNorm(3)), nn.RMSNorm(3)))


# === 1.3 Copies, references, ties, repetition, conditions ==========================================================


def test_an_interpolation_copies_the_recipe_into_two_separate_modules():
    model = build("layers: {a: {_target_: Linear, in_features: 4, out_features: 4}, b: '${.a}', c: '${..layers.a}'}")
    assert len({id(each) for each in model}) == 3
    assert repr(model.a) == repr(model.b) == repr(model.c)
    assert len(list(model.parameters())) == 6


def test_a_reference_is_the_same_module_again():
    same_layer = nn.Linear(4, 4)
    model = same(
        "layers: [{_ref_: 2}, ReLU, 'Linear(4, 4)', {_ref_: 2}]",
        nn.Sequential(same_layer, nn.ReLU(), same_layer, same_layer),
        X,
    )
    assert model[0] is model[2] is model[3]


def test_a_reference_is_looked_up_in_its_block_then_outwards():
    model = build(
        """
        layers:
          a: Linear(4, 4)
          b: {layers: {near: {_ref_: a}}}
          c: {layers: {a: "Linear(4, 2)", near: {_ref_: a}}}
        """
    )
    assert model.b.near is model.a
    assert model.c.near is model.c.a


def test_a_reference_may_be_a_dotted_path():
    model = build("layers: {a: {layers: {b: ['Linear(4, 4)']}}, c: {_ref_: a.b.0}}")
    assert model.c is model.a.b[0]
    assert answer("layers: {a: {layers: {inner: ReLU}}, c: {_ref_: a.iner}}") == message(
        "model.layers.c._ref_", "'a' has no layer 'iner'. Did you mean 'inner'?"
    )


def test_a_reference_has_no_other_keys():
    for key in ("bias: false", "_init_: {weight: 0}", "_target_: Linear"):
        name = key.partition(":")[0]
        assert answer(f"layers: {{a: 'Linear(4, 4)', b: {{_ref_: a, {key}}}}}") == message(
            f"model.layers.b.{name}",
            f"a reference is the same module again and has no other keys, not '{name}'. Remove it.",
        )


def test_references_make_no_cycles():
    assert answer("layers: {a: {layers: {b: {_ref_: c}}}, c: {layers: {d: {_ref_: a}}}}") == message(
        "model.layers.c.layers.d._ref_",
        "a layer cannot contain itself: a -> c -> a. Refer to a layer that is built before.",
    )


@pytest.mark.parametrize(
    ("text", "where", "path"),
    [
        ("layers: [ReLU, {_target_: Tanh, _if_: false}, {_ref_: 0}]", "model.layers.2._ref_", "0"),
        ("layers: {a: [ReLU, {_target_: Tanh, _if_: false}], b: {_ref_: a.0}}", "model.layers.b._ref_", "a.0"),
    ],
)
def test_a_reference_into_a_list_that_has_if_is_an_error(text, where, path):
    what = f"'{path}' is an index into a list that has _if_, where indices move."
    assert answer(text) == message(where, f"{what} Name the layers: write them as a mapping.")


def test_a_tie_is_the_same_tensor_in_two_modules_of_different_types_the_left_becomes_the_right():
    model = build(
        """
        layers:
          embed: {_target_: "Embedding(5, 3)", _init_: {weight: 7}}
          head: Linear(3, 5, bias=False)
        tie: {head.weight: embed.weight}
        """
    )
    assert model.head.weight is model.embed.weight
    assert values(model) == {"embed.weight": 7}


def test_the_paths_of_a_tie_may_enter_torch_modules():
    model = build(
        """
        layers: {a: "TransformerEncoderLayer(4, 2, 8)", b: "Linear(4, 8)", c: "LSTM(4, 8)"}
        forward: b(a(x)) + c(x)[0]
        tie: {a.linear1.weight: b.weight, a.self_attn.out_proj.bias: a.norm1.bias}
        """
    )
    assert model.a.linear1.weight is model.b.weight
    assert model.a.self_attn.out_proj.bias is model.a.norm1.bias


def test_ties_are_resolved_last():
    model = build(
        "layers: {a: 'Linear(out_features=4)', b: 'Linear(4, 4)'}\ninputs: {x: [2, 4]}\ntie: {a.weight: b.weight}"
    )
    assert model.a.weight is model.b.weight


def test_tied_tensors_have_equal_shapes():
    assert answer("layers: {a: 'Linear(4, 4)', b: 'Linear(4, 8)'}\ntie: {b.weight: a.weight}") == message(
        "model.tie.b.weight",
        "'b.weight' has shape [8, 4] and 'a.weight' [4, 4]: one tensor cannot have both. Tie tensors of equal shape.",
    )


def test_dotted_and_nested_keys_of_a_tie_are_the_same():
    layers = "layers: {a: 'Linear(4, 4)', b: 'Linear(4, 4)'}\n"
    dotted, nested = layers + "tie: {a.weight: b.weight}", layers + "tie: {a: {weight: b.weight}}"
    assert repr(parsed(dotted)) == repr(parsed(nested))
    assert [(each.left, each.right) for each in parsed(dotted).tie] == [("a.weight", "b.weight")]


def test_repeat_is_a_sequential_of_copies_also_inside_a_list():
    same(
        "layers: [{_repeat_: 3, layers: ['Linear(4, 4)', ReLU]}, Tanh]",
        nn.Sequential(
            nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(3))),
            nn.Tanh(),
        ),
        X,
    )
    assert repr(build("layers: {a: {_repeat_: 12, _target_: ReLU}}").a) == repr(
        nn.Sequential(*(nn.ReLU() for _ in range(12)))
    )


def test_i_is_the_index_of_the_innermost_repeat_of_the_same_block():
    model = build(
        """
        layers:
          - {_repeat_: 2, layers: [{_repeat_: 2, _target_: "Linear(1 + i, 1)"}, "Linear(5 + i, 1)"]}
        """
    )
    assert [each.in_features for each in model.modules() if isinstance(each, nn.Linear)] == [1, 2, 5, 1, 2, 6]


def test_i_is_passed_on_to_a_definition_as_an_argument():
    blocks = "blocks: {B: {args: [n=1], layers: ['Linear(n, 1)']}}\n"
    model = build(blocks + "layers: [{_repeat_: 2, _target_: B(i + 1)}]")
    assert [each[0].in_features for each in model[0]] == [1, 2]
    assert answer("blocks: {B: {layers: [Dropout(i)]}}\nlayers: [{_repeat_: 2, _target_: B}]") == message(
        "model.blocks.B.layers.0", f"there is no value 'i'. {CLOSED.format('i')}"
    )


def test_name_names_the_copies():
    named = build('layers: [{_repeat_: 2, _name_: "block{i}", _target_: ReLU}]')
    counted = build('layers: [{_repeat_: 2, _name_: "denselayer{i + 1}", _target_: ReLU}]')
    assert list(named[0]._modules) == ["block0", "block1"]
    assert list(counted[0]._modules) == ["denselayer1", "denselayer2"]


@pytest.mark.parametrize(("count", "shown"), [("-1", "-1"), ("1.5", "1.5"), ("true", "True"), ("'[2]'", "(2,)")])
def test_a_repeat_is_an_integer_of_0_or_more(count, shown):
    assert answer(f"layers: [{{_repeat_: {count}, _target_: ReLU}}]") == message(
        "model.layers.0._repeat_", f"_repeat_ must be an integer from 0 to 100,000, not {shown}. Write _repeat_: 4."
    )
    assert repr(build("layers: [{_repeat_: 0, _target_: ReLU}, Tanh]")) == repr(
        nn.Sequential(nn.Sequential(), nn.Tanh())
    )


def test_the_names_of_copies_are_distinct():
    assert answer("layers: [{_repeat_: 2, _name_: same, _target_: ReLU}]") == message(
        "model.layers.0._name_", "two copies are named 'same'. Write _name_: \"block{i}\"."
    )


def test_if_leaves_a_layer_out():
    text = "args: {{stride: {}}}\nlayers: {{down: {{_target_: 'Conv2d(3, 3, 1)', _if_: stride != 1}}, act: ReLU}}"
    assert list(build(text.format(1))._modules) == ["act"]
    assert list(build(text.format(2))._modules) == ["down", "act"]


def test_a_call_of_an_absent_layer_is_answered_with_what_to_write():
    text = """
        args: {deep: false}
        inputs: {x: [2, 4]}
        layers: {down: {_target_: "Linear(4, 4)", _if_: deep}}
        forward: %s
        """
    assert answer(text % "down(x)") == message(
        "model.forward", "'down' is absent here: it is null, or its _if_ is false. Write down(x) if down else x."
    )
    assert torch.equal(build(text % "x @ down.weight.t() if down else x")(X), X)


def test_an_absent_layer_is_none_in_forward_skipped_in_a_sequence_and_no_gap_in_a_list():
    absent = "{_target_: Tanh, _if_: false}"
    model = build(f"layers: {{a: {absent}, b: ReLU}}\nforward: b(x) if a is None else a(x)")
    assert model.a is None
    assert torch.equal(model(X), X.relu())
    assert list(build(f"layers: {{a: {absent}, b: ReLU}}")._modules) == ["b"]
    assert list(build(f"layers: [{absent}, ReLU, {absent}, GELU]")._modules) == ["0", "1"]


def test_blocks_may_recurse_through_if():
    model = build(
        """
        blocks:
          Down: {args: [n], layers: {here: "Linear(n, n - 1)", next: {_target_: Down(n - 1), _if_: n > 2}}}
        layers: [Down(4)]
        """
    )
    assert [name for name, _ in model.named_parameters()][::2] == [
        "0.here.weight",
        "0.next.here.weight",
        "0.next.next.here.weight",
    ]


def test_the_depth_limit_of_recursion_is_100():
    text = "blocks: {{D: {{args: [n], layers: [{{_target_: D(n - 1), _if_: n > 1}}]}}}}\nlayers: [D({})]"
    assert len(list(build(text.format(99)).modules())) == 100
    assert answer(text.format(100)) == message(
        "model.blocks.D.layers.0", "blocks are nested more than 100 deep. Let _if_ end the recursion."
    )


def test_a_recursion_that_branches_ends_as_soon_as_one_that_does_not():
    text = "blocks: {D: {args: [n], layers: [D(n), D(n)]}}\nlayers: [D(1)]"
    before = time.process_time()
    assert answer(text) == message(
        "model.blocks.D.layers.0", "blocks are nested more than 100 deep. Let _if_ end the recursion."
    )
    assert time.process_time() - before < 10


def test_init_is_a_nodes_own_fills():
    model = build("layers: {a: {_target_: 'Linear(4, 4)', _init_: {weight: xavier_uniform, bias: 3}}}")
    bound = math.sqrt(6 / 8)
    assert 0.5 * bound < model.a.weight.abs().max() <= bound
    assert torch.equal(model.a.bias, torch.full((4,), 3.0))


def test_init_on_a_block_reaches_names_below_it_by_glob_and_the_innermost_wins():
    model = build(
        """
        layers:
          a: {_target_: "Linear(2, 2)", _init_: {"*": 0}}
          b:
            _init_: {"*.weight": 1, "0.bias": 2}
            layers: [{_target_: "Linear(2, 2)", _init_: {bias: 3}}, {layers: ["Linear(2, 2)"], _init_: {"*": 4}}]
        """
    )
    assert values(model) == {
        "a.weight": 0,
        "a.bias": 0,
        "b.0.weight": 1,
        "b.0.bias": 3,
        "b.1.0.weight": 4,
        "b.1.0.bias": 4,
    }
    assert answer("layers: [{_target_: 'Linear(2, 2)', _init_: {wieght: 1}}]") == message(
        "model.layers.0._init_.wieght", "_init_ finds no tensor 'wieght' here. Did you mean 'weight'?"
    )


def test_repeat_of_a_reference_is_one_module_under_n_names():
    for again in ("{_repeat_: 3, _ref_: a}", "{_repeat_: 3, layers: [{_ref_: a}]}"):
        model = build(f"layers: {{a: 'Linear(4, 4)', b: {again}}}")
        assert {id(each) for each in model.b.modules() if isinstance(each, nn.Linear)} == {id(model.a)}
        assert len(model.b) == 3


def test_a_tie_inside_a_repeated_block_is_one_tie_per_copy():
    model = build("layers: [{_repeat_: 2, layers: {a: 'Linear(2, 2)', b: 'Linear(2, 2)'}, tie: {a.weight: b.weight}}]")
    first, second = model[0]
    assert first.a.weight is first.b.weight
    assert second.a.weight is second.b.weight
    assert first.a.weight is not second.a.weight


def test_a_layer_may_be_called_twice_and_stand_in_two_places():
    class Twin(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 4)
            self.b = nn.Sequential(self.a, nn.ReLU())

        def forward(self, x):
            return self.b(self.a(self.a(x)))

    same("layers: {a: 'Linear(4, 4)', b: {layers: {'0': {_ref_: a}, '1': ReLU}}}\nforward: b(a(a(x)))", Twin(), X)


# === 1.4 The small language ========================================================================================


def forward(text, *inputs, more=""):
    """What a `forward` of one input `x` (and `y`) returns."""
    body = textwrap.indent(textwrap.dedent(text), "  ")
    return build(f"inputs: [x, y=None]\n{more}\nforward: |\n{body}")(*inputs)


def refused(text, more="layers: {a: 'Linear(4, 4)'}"):
    """The first sentence that refuses a `forward`."""
    body = textwrap.indent(textwrap.dedent(text), "  ")
    where, what, *_ = answer(f"{more}\nforward: |\n{body}").splitlines()
    assert where == "model.forward"
    return what.strip()


def test_formulas_forward_and_fill_are_one_language():
    model = build(
        """
        args: {n: 3, a: =abs(-n) + 1, b: =2 if n > 2 else 5}
        parameters: {p: {shape: [n], fill: abs(-n) + 1 + 0 * normal()}}
        forward: abs(-n) + 1 + 0 * x
        layers: {unused: {_target_: Dropout, p: =0.1 * (2 if n > 2 else 5)}}
        """
    )
    assert torch.equal(model(torch.zeros(2)), torch.full((2,), 4.0))
    assert torch.equal(model.p, torch.full((3,), 4.0))
    assert model.unused.p == 0.2


def test_statements_are_assignment_augmented_assignment_if_while_for_and_return():
    text = """
        a, (b, _) = x, (x + 1, x)
        c = d = a + b
        c += 1
        if c.sum() > 0:
            c = c * 2
        elif training:
            c = -c
        else:
            c = c - 1
        while c.abs().sum() > 1:
            c = c / 2
        for i in range(1, 6, 2):
            c = c + i
        return c, d
        """

    def python(x):
        a, (b, _) = x, (x + 1, x)
        d = a + b
        c = d + 1
        if c.sum() > 0:
            c = c * 2
        else:
            c = -c  # a built model is in training mode
        while c.abs().sum() > 1:
            c = c / 2
        for i in range(1, 6, 2):
            c = c + i
        return c, d

    for x in (X, -X - 1, X * 100):
        ours, expected = forward(text, x), python(x)
        assert all(torch.equal(a, b) for a, b in zip(ours, expected, strict=True))


def test_an_underscore_may_be_assigned_and_is_never_read():
    assert refused("_, b = x, x\nreturn _") == "'_' is never read. Give the value a name."


def test_augmented_assignment_makes_a_new_value():
    x = X.clone()
    assert torch.equal(forward("y = x\nx += 1\nreturn x + 0 * y", x), X + 1)
    assert torch.equal(x, X)


def test_for_goes_over_a_range_or_a_container_of_layers():
    class Twin(nn.Module):
        def __init__(self):
            super().__init__()
            self.steps = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))

        def forward(self, x):
            for step in self.steps:
                for i in range(2):
                    x = x + i * step(x)
            return x

    same(
        """
        layers: {steps: ["Linear(4, 4)", "Linear(4, 4)"]}
        forward: |
          for step in steps:
              for i in range(2):
                  x = x + i * step(x)
          return x
        """,
        Twin(),
        X,
    )
    assert refused("for row in x:\n    x = x + row\nreturn x") == ("for goes over range(...) or layers. Write:")


@pytest.mark.parametrize(
    "text",
    [
        "x * 2 - x / 3 + x ** 2 + (x // 1) % 3 - x @ y",
        "-x + +x",
        "(x > 0) & (x < 2) | ~(x == x)",
        "x if y.shape[0] > 3 and not y.ndim == 1 or x.shape[0] == 7 else y",
        "x[0], x[:, 1:3], x[..., None], x[-1, ::2], x[x > 0]",
        "[x, (y, x)], x.shape",
        "{'first': x, 'second': {'third': y}}['second']['third']",
        "torch_max(x)",
    ],
)
def test_expressions_are_those_of_python(text):
    y = torch.arange(16.0).reshape(4, 4)
    ours = forward(f"return {text.replace('torch_max', 'max')}", X, y)
    expected = eval(text, {"x": X, "y": y, "torch_max": torch.max})
    assert str(ours) == str(expected)


def test_layer_j_of_x_calls_a_layer_of_a_container():
    model = build(
        """
        args: {j: 1}
        layers: {steps: ["Linear(4, 4)", "Linear(4, 4)"], named: {layers: {up: "Linear(4, 4)"}}}
        forward: named.up(steps[j](x)) + steps[0](x)
        """
    )
    assert torch.equal(model(X), model.named.up(model.steps[1](X)) + model.steps[0](X))


def test_a_text_is_an_expression_if_it_parses_as_one_else_statements_with_return():
    assert torch.equal(build("forward: x + 1")(X), build("forward: |\n  y = x\n  return y + 1")(X))
    assert refused("y = x") == "the text ends without return. End every way through it with return."
    assert refused("relu(x)\nreturn x") == "this line has no effect. Assign its value to a name, or return it."


def test_names_are_locals_then_what_the_block_owns_then_training_then_functions():
    class Twin(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.norm, self.self, self.relu = nn.Linear(4, 4), nn.LayerNorm(4), nn.ELU(), nn.Tanh()

        def forward(self, x):
            return self.relu(self.self(self.norm(self.linear(x))))

    same(
        """
        layers: {linear: "Linear(4, 4)", norm: LayerNorm(4), self: ELU, relu: Tanh}
        forward: relu(self(norm(linear(x))))
        """,
        Twin(),
        X,
    )
    model = build("args: {sin: 2}\nforward: |\n  cos = x * sin\n  return cos if training else -cos")
    assert torch.equal(model(X), X * 2)
    assert torch.equal(model.eval()(X), -X * 2)


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ("args: {n: 1}", "n"),
        ("layers: {n: ReLU}", "n"),
        ("parameters: {n: {shape: [], fill: 0}}", "n"),
        ("", "training"),
    ],
)
def test_a_name_that_the_block_owns_is_not_assigned(more, name):
    assert refused(f"{name} = x\nreturn x", more) == (
        f"'{name}' belongs to the block and cannot be assigned. Take another name."
    )


def test_a_buffer_is_assigned_in_training_alone():
    assert refused("n = x\nreturn x", "buffers: {n: {shape: [], fill: 0}}") == (
        "'n' is a buffer, and is set in training alone. Write if training: above it."
    )


def test_functions_and_layers_are_called_not_passed_around():
    assert refused("f = relu\nreturn x") == "'relu' is a function. Call it: relu(...)."
    assert refused("f = a\nreturn x") == "'a' is a layer. Call it: a(x)."
    assert refused("return x(a)") == "'x' is a value, not a function or a layer"


def test_layer_weight_reads_a_childs_parameter_and_nothing_else_of_it():
    model = build("layers: {a: 'Linear(4, 4)', b: ['Linear(4, 4)']}\nforward: x @ a.weight.T + b[0].bias")
    assert torch.equal(model(X), X @ model.a.weight.T + model.b[0].bias)
    assert answer("layers: {a: 'Linear(4, 4)'}\nforward: x * a.in_features") == message(
        "model.forward", "'a' has no tensor 'in_features'. Known: weight, bias."
    )
    assert refused("a.eval()\nreturn x") == (
        "'eval' of a layer has no place here. Layers are called, and their tensors are read: layer(x), layer.weight."
    )


def test_a_childs_tensor_has_its_methods_and_a_child_may_be_called_like_one():
    model = build(
        """
        layers:
          a: Linear(4, 4)
          b: ["Linear(4, 4)"]
          n: {layers: {norm: "LayerNorm(4)"}, inputs: [y], forward: norm(y)}
        forward: n.norm(x @ a.weight.t() + b[-1].bias.sum()) * a.weight.norm()
        """
    )
    expected = model.n.norm(X @ model.a.weight.t() + model.b[0].bias.sum()) * model.a.weight.norm()
    assert torch.equal(model(X), expected)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a.weight.wiew(4)", "'wiew' is not a method of a tensor. Did you mean 'view'?"),
        ("a.wieght.t()", "'a' has no layer or tensor 'wieght'. Did you mean 'weight'?"),
        ("a.forward.sum()", "'forward' of a layer has no place here."),
        ("a.in_features.sum()", "'a' has no layer or tensor 'in_features'. Known: weight, bias."),
        ("a.weight[0].sum()", "'a.weight' is a tensor, not a layer. Give it a name first: w = layer.weight."),
        ("n.nrm.norm(x)", "'n' has no layer 'nrm'. Did you mean 'norm'?"),
        ("n.norm.sum(x)", "'n.norm' has no layer 'sum'."),
    ],
)
def test_a_dotted_name_that_leads_nowhere_is_answered_where_it_goes_wrong(text, said):
    layers = "{a: 'Linear(4, 4)', n: {layers: {norm: 'LayerNorm(4)'}, inputs: [y], forward: norm(y)}}"
    assert said in answer(f"layers: {layers}\nforward: x * {text}")


def test_what_is_read_of_a_layer_without_a_size_is_checked_when_it_has_one():
    start = "inputs: {x: [2, 4]}\nlayers: {a: Linear(out_features=4)}\nforward: "
    model = build(start + '"y = a(x)\\nreturn y @ a.weight.t()"')
    assert torch.equal(model(X), model.a(X) @ model.a.weight.t())
    assert answer(start + '"y = a(x)\\nreturn y * a.out_features"') == message(
        "model.forward", "'a' has no tensor 'out_features'. Known: weight, bias."
    )


def test_some_functions_take_numbers_and_tensors_with_torchs_meaning_on_tensors():
    for name in "abs sqrt log exp sin cos min max sum round".split():
        assert torch.equal(forward(f"return {name}(x)", X.abs() + 1), getattr(torch, name)(X.abs() + 1))
    args = "abs(-2) sqrt(2) log(2) exp(2) sin(2) cos(2) min(1,2) max(1,2) sum((1,2)) round(2.6) len((1,2))".split()
    scope = {**vars(math), "abs": abs, "min": min, "max": max, "sum": sum, "round": round, "len": len}
    for text in args:
        assert spec_value(text) == eval(text, scope)
    assert forward("return len(x)", X) == 2


def spec_value(text):
    """The value of a formula, read from a layer that keeps whatever it is given."""
    return build(f"args: {{v: '={text}'}}\nlayers: ['LeakyReLU(v)']")[0].negative_slope


def test_methods_and_attributes_are_an_allow_list():
    ours = forward("return x.view(4, 2).permute(1, 0).mean(), x.shape, x.ndim, x.dtype == y.dtype", X, X)
    assert ours == (X.view(4, 2).permute(1, 0).mean(), X.shape, 2, True)
    assert refused("return x.numpy()") == "'numpy' is not a method of a tensor. Did you mean 'numel'?"
    known = "Known: H, T, dtype, imag, mH, mT, ndim, real, shape."
    assert refused("return x.grad") == f"there is no attribute 'grad'. {known}"


def test_strings_are_literal_arguments_and_dict_keys_only():
    image = torch.arange(4.0).reshape(1, 1, 2, 2)
    ours = forward("return {'out': interpolate(x, scale_factor=2, mode='nearest')}", image)
    assert torch.equal(ours["out"], nn.functional.interpolate(image, scale_factor=2, mode="nearest"))
    assert refused("m = 'nearest'\nreturn x") == (
        "the text 'nearest' has no place here. Texts are arguments (mode='nearest'), keys of dicts, and what an arg is compared with."
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("return x.relu_()", "'relu_' changes its tensor in place. Write return x.relu()."),
        ("return relu(x, out=x)", "the argument 'out' has no place here"),
        (
            "return dropout(x, 0.5, inplace=True)",
            "the argument 'inplace' has no place here. Write return dropout(x, 0.5).",
        ),
        (
            "_h = x\nreturn x",
            "'_h' cannot be a name. Names have ASCII letters, digits and '_', and start with a letter.",
        ),
        (
            "return x.__class__",
            "there is no attribute '__class__'. Known: H, T, dtype, imag, mH, mT, ndim, real, shape.",
        ),
        (
            "import os\nreturn x",
            "import has no place here. Statements are assignment, if, while, for and return.",
        ),
        (
            "def f(x):\n    return x\nreturn x",
            "def has no place here. Statements are assignment, if, while, for and return.",
        ),
        ("f = lambda x: x\nreturn x", "lambda has no place here"),
        (
            "class A:\n    pass\nreturn x",
            "class has no place here. Statements are assignment, if, while, for and return.",
        ),
        ("return cat([y for y in x])", "a comprehension has no place here. Write:"),
        (
            "try:\n    y = x\nexcept:\n    pass\nreturn x",
            "try has no place here. Statements are assignment, if, while, for and return.",
        ),
        (
            "with x:\n    y = x\nreturn x",
            "with has no place here. Statements are assignment, if, while, for and return.",
        ),
        ("return f'{x}'", "an f-string has no place here"),
        ("return cat(*x)", "a starred value has no place here"),
        ("return x ** 100", "the exponent 100 is too large. At most 64 is allowed."),
        ("return {1: x}", "the keys of a dict are texts. Write {'name': value}."),
        (
            "return x.__dict__['a']",
            "there is no attribute '__dict__'. Known: H, T, dtype, imag, mH, mT, ndim, real, shape.",
        ),
        ("x[0] = 1\nreturn x", "elements cannot be assigned here. Use where(...), cat(...) or a mask."),
    ],
)
def test_what_could_change_a_tensor_in_place_or_reach_outside_is_refused(text, what):
    assert refused(text) == what


def test_a_power_takes_a_literal_exponent_or_a_tensor():
    assert torch.equal(forward("return x ** 2 + (x * x) ** y", X, X), X**2 + (X * X) ** X)


def test_elements_are_assigned_in_fills_only():
    model = build('parameters: {p: {shape: [2, 2], fill: "w = zeros()\\nw[0, 1] = 5\\nreturn w"}}\nforward: x * p')
    assert torch.equal(model.p, torch.tensor([[0.0, 5.0], [0.0, 0.0]]))


def test_tensors_created_in_forward_are_made_on_the_device_of_the_first_tensor_input():
    model = build("forward: zeros(2), arange(3), ones(2, dtype='int64')\ninputs: [x, y]")
    zeros, steps, ones = model(3, X.to("meta"))
    assert {each.device.type for each in (zeros, steps, ones)} == {"meta"}
    assert (zeros.dtype, steps.dtype, ones.dtype) == (torch.float32, torch.int64, torch.int64)


@pytest.mark.parametrize("loop", ["while x.sum() < 100:", "for i in range(11):"])
def test_a_loop_stops_after_max_steps_with_an_error_that_names_its_line(loop, tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text(f"forward: |\n  y = x\n  {loop}\n      y = y + 0\n  return y\n")
    for steps, shown in ((10, "10"), (10_000, "10,000")):
        model = modelzoo.build(file, max_steps=steps)
        if steps == 10 or "while" in loop:
            with pytest.raises(RuntimeError) as caught:
                model(torch.zeros(2))
            assert str(caught.value).startswith(f"this loop did not end after {shown} steps: {loop} (line 2 of ")
        else:
            assert torch.equal(model(X), X)


def test_a_loop_without_end_is_answered_with_its_line_in_the_yaml(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text(
        "inputs: {x: [2]}\nforward: |\n  y = x\n  while 1 > 0:\n      y = y + 1\n  return y\n"
    )
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build("own.yaml", max_steps=50)
    assert str(caught.value) == message(
        "own.yaml:4:3  model.forward",
        "this loop did not end after 50 steps: while 1 > 0:. Set max_steps=... if it should turn more often.",
    )


def test_random_functions_in_forward_use_torchs_generator():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        ours = forward("return dropout(x, 0.5) + randn_like(x)", X)
        torch.manual_seed(3)
        assert torch.equal(ours, nn.functional.dropout(X, 0.5) + torch.randn_like(X))


def test_compiled_code_fetches_children_from_modules_and_own_tensors_as_attributes():
    model = build("layers: {a: 'Linear(4, 4)'}\nparameters: {s: {shape: [4], fill: ones}}\nforward: a(x) * s")
    names = type(model).forward.__code__.co_names
    assert names == ("_modules", "s")
    parametrize.register_parametrization(model, "s", Add(1))
    assert torch.equal(model(X), model.a(X) * 2)
    pruned = build("parameters: {s: {shape: [4], fill: ones}}\nforward: x * s")
    prune.random_unstructured(pruned, "s", amount=4)
    assert torch.equal(pruned(X), X * 0)


def test_the_text_is_what_a_traceback_shows():
    model = build("forward: |\n  y = x * 1\n  return y.reshape(7)")
    code = type(model).forward.__code__
    assert linecache.getlines(code.co_filename) == ["y = x * 1\n", "return y.reshape(7)\n"]


def test_a_generated_class_pickles_and_equal_blocks_share_one_class():
    text = "blocks: {B: {args: [n], layers: {a: 'Linear(n, n)'}, forward: x + a(x)}}\nlayers: [B(4), B(4), 'Linear(4, 3)', B(3)]"
    model = build(text)
    assert type(model[0]) is type(model[1]) is type(model[3])
    assert type(model[0]).__name__ == "B"
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert type(again[0]) is type(model[0])
        assert torch.equal(again(X), model(X))


def test_a_built_model_works_with_torch_compile():
    model = build("layers: {a: 'Linear(4, 4)'}\nforward: |\n  for i in range(3):\n      x = relu(a(x)) + i\n  return x")
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    assert torch.equal(compiled(X), model(X))


# === 1.5 Initialisation rules ======================================================================================

NET = """
model:
  args: {depth: 8}
  blocks: {Scaled: {args: [n], layers: {lin: "Linear(n, n)"}, parameters: {s: {shape: [n], fill: 9}}, forward: lin(x) * s}}
  layers:
    - Linear(2, 2)
    - Conv1d(2, 2, 1)
    - Scaled(2)
    - BatchNorm1d(2)
init:
  all: {name: "*", fill: -1}
"""


def filled(rules, net=NET):
    """What rules leave in the parameters of NET, which hold -1 before them."""
    return values(build(net + textwrap.indent(textwrap.dedent(rules), "  ")))


def changed(rules):
    return {name for name, value in filled(rules).items() if value != -1}


def test_the_examples_xavier_and_threshold_do_what_they_say():
    model = modelzoo.build(
        {"layers": ["Linear(100, 50)"]}, data("weights: {layer: Linear, param: weight, fill: xavier_uniform}")
    )
    bound = math.sqrt(6 / 150)
    assert 0.99 * bound < model[0].weight.abs().max() <= bound
    rule = """
        weights:
          layer: Linear
          param: weight
          fill: |
            w = uniform(-10, 10)
            return w * (abs(w) >= 5)
        """
    weight = modelzoo.build({"layers": ["Linear(100, 50)"]}, data(rule))[0].weight
    assert set((weight == 0).unique().tolist()) == {False, True}
    assert 5 <= weight[weight != 0].abs().min() <= weight.abs().max() < 10


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("layer: Linear", "0.weight 0.bias 2.lin.weight 2.lin.bias"),
        ("layer: Scaled", "2.s"),
        ("layer: [Linear, Scaled]", "0.weight 0.bias 2.s 2.lin.weight 2.lin.bias"),
        ("layer: _ConvNd", "1.weight 1.bias"),
        ("layer: torch.nn.Linear", "0.weight 0.bias 2.lin.weight 2.lin.bias"),
        ("param: bias", "0.bias 1.bias 2.lin.bias 3.bias"),
        ("name: 2.lin.bias", "2.lin.bias"),
        ("name: '2*weight'", "2.lin.weight"),
        ("{layer: Linear, param: weight, name: '2.*'}", "2.lin.weight"),
    ],
)
def test_a_rule_selects_parameters_by_layer_param_and_name_alone_or_together(selector, expected):
    inside = selector.strip("{}") if selector.startswith("{") else selector
    assert changed(f"some: {{{inside}, fill: 1}}") == set(expected.split())


def test_a_rule_selects_a_buffer_only_by_its_exact_name():
    rules = {"a": {"name": "*", "fill": 5}, "b": {"name": "3.running_mean", "fill": 7}}
    model = modelzoo.build(data(NET)["model"], rules)
    assert values(model)["3.weight"] == 5
    assert torch.equal(model[3].running_mean, torch.full((2,), 7.0))
    assert torch.equal(model[3].running_var, torch.ones(2))


def test_a_rule_selects_a_tensor_through_any_of_its_homes():
    model = {"layers": {"a": "Linear(2, 2)", "b": {"_ref_": "a"}}}
    built = modelzoo.build(model, {"r": {"name": "b.*", "fill": 3}})
    assert values(built) == {"a.weight": 3, "a.bias": 3}


@pytest.mark.parametrize(
    "fill",
    ["1", "ones", "constant(1)", "{_target_: constant, value: 1}", "zeros() + 1", '"w = zeros()\\nreturn w + 1"'],
)
def test_a_fill_is_a_number_a_name_a_call_a_text_or_a_mapping(fill):
    model = build(f"model: {{layers: ['Linear(2, 2)']}}\ninit: {{r: {{name: '*', fill: {fill}}}}}")
    assert values(model) == {"0.weight": 1, "0.bias": 1}


def test_a_mapping_fill_can_be_swept():
    rules = compose("model=regression", "init=normal", "init.weights.fill.std=0.5")[1]
    assert rules["weights"]["fill"] == {"_target_": "normal", "std": 0.5}


def test_xavier_uniform_with_and_without_the_underscore_is_one_name():
    models = [
        build(f"model: {{layers: ['Linear(4, 4)']}}\ninit: {{r: {{param: weight, fill: {name}}}}}")
        for name in ("xavier_uniform", "xavier_uniform_")
    ]
    assert torch.equal(models[0][0].weight, models[1][0].weight)


def test_a_fill_may_read_the_roots_args_shape_fans_and_value():
    assert filled("r: {name: 0.weight, fill: constant(depth / 2)}")["0.weight"] == 4
    assert filled("r: {name: 1.weight, fill: value + depth}")["1.weight"] == 7
    net = {"args": {"depth": 8}, "layers": ["Linear(150, 200)"]}
    fans = modelzoo.build(
        net, {"r": {"param": "weight", "fill": "fan_in + 1000 * fan_out + 0.5 * shape[0] + 0 * value"}}
    )
    assert torch.equal(fans[0].weight, torch.full((200, 150), 150 + 200_000 + 100.0))
    scaled = modelzoo.build(net, {"r": {"param": "weight", "fill": "normal(std=0.02 / (2 * depth) ** 0.5)"}})
    assert scaled[0].weight.std().item() == pytest.approx(0.005, rel=0.02)
    assert answer("model: {layers: ['Linear(2, 2)']}\ninit: {r: {param: weight, fill: normal(std=deep)}}").startswith(
        "init.r.fill\n  there is no value 'deep'"
    )


def test_who_fills_a_tensor_weakest_first_default_own_fill_rules_init():
    text = """
        model:
          layers: {{a: {{_target_: "BatchNorm1d(2)"{init}}}}}
          parameters: {{s: {{shape: [2], fill: 4}}}}
          forward: a(x) * s
        init: {{{rules}}}
        """

    def filled_by(init="", rules=""):
        return values(build(text.format(init=init, rules=rules)))

    assert filled_by() == {"s": 4, "a.weight": 1, "a.bias": 0}
    assert filled_by(rules="r: {param: s, fill: 5}, t: {name: '*', fill: value + 1}") == {
        "s": 6,
        "a.weight": 2,
        "a.bias": 1,
    }
    assert filled_by(rules="r: {name: '*', fill: 5}", init=", _init_: {weight: 8}") == {
        "s": 5,
        "a.weight": 8,
        "a.bias": 5,
    }


def test_the_default_of_a_tie_is_that_of_the_right_hand_side():
    text = "layers: {{a: 'Linear(40, 40)', b: 'Embedding(40, 40)'}}\nforward: a(x)\ntie: {{{}}}"
    assert build(text.format("a.weight: b.weight")).a.weight.std().item() == pytest.approx(1, rel=0.1)
    assert build(text.format("b.weight: a.weight")).a.weight.abs().max() <= 1 / math.sqrt(40)


def test_rules_apply_from_top_to_bottom_like_successive_calls_of_apply():
    rules = "a: {layer: Linear, fill: 1}\nb: {param: weight, fill: 2}\nc: {name: 0.weight, fill: value * 10}"
    got = filled(rules)
    twin = nn.ModuleDict({"0": nn.Linear(2, 2), "1": nn.Conv1d(2, 2, 1)})
    for name, each in twin.named_parameters():
        nn.init.constant_(each, -1)
        if isinstance(twin.get_submodule(name.split(".")[0]), nn.Linear):
            nn.init.constant_(each, 1)
        if name.endswith("weight"):
            nn.init.constant_(each, 2)
        if name == "0.weight":
            with torch.no_grad():
                each.mul_(10)
    assert {name: got[name] for name, _ in twin.named_parameters()} == values(twin)


def test_what_a_later_fill_would_overwrite_is_never_computed():
    model = build(
        """
        model: {layers: ["Linear(2, 2)"]}
        init: {fails: {layer: Linear, fill: zeros() / 0}, good: {layer: Linear, fill: 1}}
        """
    )
    assert values(model) == {"0.weight": 1, "0.bias": 1}
    planned = modelzoo.plan(
        {"layers": ["Linear(2, 2)"]}, {"a": {"param": "bias", "fill": 1}, "b": {"param": "bias", "fill": 2}}
    )
    bias = planned.tensors[1]
    assert (bias.rule, bias.matched, bias.erased) == ("init.b", ("init.a", "init.b"), ("init.a",))


def test_a_tensor_without_a_fill_and_without_a_rule_is_an_error():
    model = {"parameters": {"s": {"shape": [2]}}, "forward": "x * s"}
    assert values(modelzoo.build(model, {"r": {"param": "s", "fill": 3}})) == {"s": 3}
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build(model)
    assert str(caught.value) == message(
        "model.parameters.s", "'s' has no fill and no rule fills it. Write fill: zeros beside its shape, or a rule."
    )


def test_a_rule_without_effect_is_an_error_if_it_has_a_name_else_a_warning():
    net = {"layers": ["Linear(2, 2)"]}
    for rules, what in (
        ({"r": {"layer": "Conv2d", "fill": 0}}, "the rule 'r' (layer: Conv2d) selects no tensor of this model."),
        (
            {"r": {"param": "bias", "fill": 0}, "s": {"param": "bias", "fill": 1}},
            "later fills overwrite everything that the rule 'r' fills.",
        ),
    ):
        assert [each.what for each in modelzoo.plan(net, rules).warnings] == [what]
    for rules, what in (
        (
            {"r": {"name": "0.wieght", "fill": 0}},
            "the rule 'r' (name: 0.wieght) selects no tensor of this model. Did you mean '0.weight'?",
        ),
        (
            {"r": {"name": "0.bias", "fill": 0}, "s": {"param": "bias", "fill": 1}},
            "later fills overwrite everything that the rule 'r' fills. Remove it, or move it down.",
        ),
    ):
        with pytest.raises(modelzoo.ConfigError) as caught:
            modelzoo.plan(net, rules)
        assert str(caught.value) == message("init.r", what)


TIED = """
model: {layers: {a: {_target_: "Linear(4, 4, bias=False)"%s}, b: "Embedding(4, 4)"}, forward: a(x), tie: {a.weight: b.weight}}
init: {l: {layer: Linear, param: weight, fill: 1}, t: {layer: Embedding, fill: 2}%s}
"""


def test_homes_that_end_with_different_fills_are_an_error_that_shows_both_rules_and_paths():
    assert answer(TIED % ("", "")) == message(
        "init.t.fill",
        "a.weight and b.weight are one tensor, and two fills disagree: init.l fills a.weight with constant(value=1); "
        "init.t fills b.weight with constant(value=2). Add a rule below with name: a.weight.",
    )
    agreed = (TIED % ("", "")).replace("fill: 2", "fill: 1")
    assert values(build(agreed))["a.weight"] == 1


AGREED = """
model:
  layers: {a: "Linear(4, 4)", b: "Linear(3, 4)"}
  parameters: {s: {shape: [4], fill: 5}, t: {shape: [4], fill: %s}}
  inputs: {x: [2, 4], y: [2, 3]}
  forward: return a(x) * s + b(y) * t
  tie: {s: a.bias, t: a.bias, b.bias: a.bias}
init: {%s}
"""


def test_homes_whose_strongest_fills_agree_take_that_fill_whatever_the_weaker_ones_say():
    assert set(build(AGREED % ("5", "")).s.tolist()) == {5}
    assert answer(AGREED % ("6", "")) == message(
        "model.parameters.t.fill",
        "s and t are one tensor, and two fills disagree: model.parameters.s fills s with constant(value=5); "
        "model.parameters.t fills t with constant(value=6). Add a rule below with name: s.",
    )
    named = "n: {name: a.bias, fill: 7}, m: {name: b.bias, fill: %d}"
    assert set(build(AGREED % ("6", named % 7)).s.tolist()) == {7}
    assert answer(AGREED % ("6", named % 8)) == message(
        "init.m.fill",
        "a.bias and b.bias are one tensor, and two fills disagree: init.n fills a.bias with constant(value=7); "
        "init.m fills b.bias with constant(value=8). Remove one of them.",
    )


def test_one_home_decided_by_init_or_by_a_name_that_fits_no_other_home_wins():
    assert values(build(TIED % (", _init_: {weight: 7}", "")))["a.weight"] == 7
    assert values(build(TIED % ("", ", n: {name: b.weight, fill: 3}")))["a.weight"] == 3
    assert answer(TIED % ("", ", n: {name: a.weight, fill: 3}, m: {name: b.weight, fill: 4}")) == message(
        "init.m.fill",
        "a.weight and b.weight are one tensor, and two fills disagree: init.n fills a.weight with constant(value=3); "
        "init.m fills b.weight with constant(value=4). Remove one of them.",
    )


def test_each_unique_tensor_is_filled_once_and_the_ledger_records_who_decided():
    text = data("layers: {a: 'Linear(4, 4)', b: {_ref_: a}}")
    planned = modelzoo.plan(text, {"r": {"param": "weight", "fill": "value + 1"}})
    ledger = {each.name: (each.aliases, each.rule, each.fill.split(" -> ")[-1]) for each in planned.tensors}
    assert ledger["a.weight"] == (("b.weight",), "init.r", "value + 1")
    assert ledger["a.bias"][:2] == (("b.bias",), "torch")
    once, plain = modelzoo.build(text, {"r": {"param": "weight", "fill": "value + 1"}}), modelzoo.build(text)
    assert torch.equal(once.a.weight, plain.a.weight + 1)


def test_a_layer_is_no_condition():
    with pytest.raises(modelzoo.ConfigError, match="'ConvTranspose2d' is a layer, not a value"):
        modelzoo.build({"layers": ["ReLU if ConvTranspose2d else ReLU"]})
