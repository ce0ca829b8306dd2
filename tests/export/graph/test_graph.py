"""The data flow: which nodes and arrows a model has, and that its pictures show them."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
import torch

from modelzoo.export.graph import mermaid
from modelzoo.export.graph import svg as drawing
from modelzoo.export.graph.dataflow import drawn, graph
from modelzoo.export.graph.graph import Graph
from modelzoo.plans import draft as drafts
from modelzoo.plans.draft import fill
from tests.helpers.composing import CONF, compose

torch.set_num_threads(1)
MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))


def arrows(found: Graph) -> list[str]:
    """Every edge as `source -> target  shape`, nodes of texts by their label."""
    names = {
        node.name: node.name if node.kind == "module" else node.label if node.kind != "input" else f"input {node.label}"
        for node in found.nodes
    }
    kinds = {"data": "->", "back": "=>", "control": ".."}
    return [f"{names[e.source]} {kinds[e.kind]} {names[e.target]}  {e.label}".strip() for e in found.edges]


def block(forward: str, **keys: object) -> dict[str, object]:
    layers = {"a": "Linear(4, 4)", "b": "Linear(4, 4)", "c": "Linear(4, 4)"}
    return {"inputs": {"x": [2, 4]}, "layers": layers, "forward": forward, **keys}


def test_a_shared_layer_is_one_node_with_an_arrow_for_each_call():
    assert arrows(graph(compose("model=shared")[0])) == [
        "input x -> 0  [2, 4]",
        "0 -> 1  [2, 8]",
        "1 -> 2  #1 [2, 8]",
        "2 -> 3  #1 [2, 8]",
        "3 -> 2  #2 [2, 8]",
        "2 -> 5  #2 [2, 8]",
        "5 -> 6  [2, 8]",
        "6 -> output  [2, 1]",
    ]


def test_a_loop_has_a_head_that_data_comes_back_to_and_a_constant_is_a_node():
    found = graph(compose("model=fixed_hidden")[0])
    assert arrows(found) == [
        "input x -> linear  #1 [2, 20]",
        "linear -> relu(x @ rand_weight)  #1 [2, 20]",
        "rand_weight -> relu(x @ rand_weight)  [20, 20]",
        "relu(x @ rand_weight) -> linear  #2 [2, 20]",
        "linear -> while x.abs().sum() > 1  #2 [2, 20]",
        "while x.abs().sum() > 1 -> x / 2  [2, 20]",
        "x / 2 => while x.abs().sum() > 1  [2, 20]",
        "while x.abs().sum() > 1 -> sum()  [2, 20]",
        "sum() -> output  []",
    ]
    assert [node.kind for node in found.nodes if node.label == "rand_weight"] == ["constant"]
    assert [node.label for node in found.nodes if node.parent == found.clusters[0].name] == [
        "while x.abs().sum() > 1",
        "x / 2",
    ]


def test_both_sides_of_a_condition_on_data_are_drawn():
    found = graph(block("if x.sum() > 0:\n    y = a(x)\nelse:\n    y = b(x)\nreturn c(y)"))
    assert arrows(found) == [
        "input x -> if x.sum() > 0  [2, 4]",
        "input x -> a  [2, 4]",
        "if x.sum() > 0 .. a  yes",
        "input x -> b  [2, 4]",
        "if x.sum() > 0 .. b  no",
        "a -> c  [2, 4]",
        "b -> c  [2, 4]",
        "c -> output  [2, 4]",
    ]


def test_a_condition_on_args_draws_the_side_that_is_taken():
    forward = "if deep:\n    x = a(x)\nelse:\n    x = b(x)\nreturn c(x)"
    for deep, taken in ((True, "a"), (False, "b")):
        nodes = {node.name for node in graph(block(forward, args={"deep": deep})).nodes}
        assert nodes & {"a", "b"} == {taken}


def test_an_early_return_leaves_both_results():
    found = graph(block("if x.sum() > 0:\n    return a(x)\nreturn b(x)"))
    assert [each for each in arrows(found) if "output" in each] == ["a -> output  [2, 4]", "b -> output  [2, 4]"]


def test_parts_of_a_tuple_go_where_they_are_used():
    found = graph(block("p, q = a(x), b(x)\nreturn c(q), p"))
    assert arrows(found)[-3:] == ["b -> c  [2, 4]", "c -> output  [2, 4]", "a -> output  [2, 4]"]


def test_a_layer_of_several_outputs_carries_the_shape_of_each():
    model = {
        "inputs": {"x": [2, 5, 4]},
        "layers": {"lstm": "LSTM(4, 8, batch_first=True)", "out": "Linear(8, 1)"},
        "forward": "y, state = lstm(x)\nreturn out(y), state",
    }
    assert arrows(graph(model)) == [
        "input x -> lstm  [2, 5, 4]",
        "lstm -> out  [2, 5, 8]",
        "out -> output  [2, 5, 1]",
        "lstm -> output  ([1, 2, 8], [1, 2, 8])",
    ]


@pytest.mark.parametrize(
    "loop",
    [
        "for each in steps:\n    x = each(x)",
        "for i in range(len(steps)):\n    x = steps[i](x)",
        "for k, each in enumerate(steps):\n    x = each(x) if k < 5 else x",
        "for i, each in zip(range(2), steps[-2:]):\n    x = steps[i](x)",
        "for each in reversed(steps[::-1]):\n    x = each(x)",
        "for k, each in enumerate(steps):\n    x = each(x)\n    if k == 1:\n        break\n    continue\n    x = x + 1",
    ],
)
def test_layers_that_differ_are_drawn_turn_by_turn_in_a_loop_over_them(loop):
    layers = {"steps": ["Linear(4, 8)", "Linear(8, 2)"]}
    assert arrows(graph({"inputs": {"x": [3, 4]}, "layers": layers, "forward": f"{loop}\nreturn x"})) == [
        "input x -> steps.0  [3, 4]",
        "steps.0 -> steps.1  [3, 8]",
        "steps.1 -> output  [3, 2]",
    ]


def test_equal_layers_in_a_loop_are_drawn_once():
    layers = {"steps": {"_target_": "Linear(4, 4)", "_repeat_": 5}}
    model = {"inputs": {"x": [3, 4]}, "layers": layers, "forward": "for each in steps:\n    x = each(x)\nreturn x"}
    assert arrows(graph(model)) == [
        "input x -> for each in steps (5 x)  [3, 4]",
        "for each in steps (5 x) -> steps.0  [3, 4]",
        "steps.0 => for each in steps (5 x)  [3, 4]",
        "for each in steps (5 x) -> output  [3, 4]",
    ]


def test_several_equal_layers_in_a_loop_are_drawn_once_and_what_ends_a_turn_goes_back_to_its_head():
    layers = {"f": ["Linear(4, 4)"] * 4, "g": ["ReLU"] * 4}
    loop = "for k, (a, b) in enumerate(zip(f, g)):\n    x = a(x)\n    if x.sum() > 1:\n        break\n    x = b(x)\n"
    head = "for k, (a, b) in enumerate(zip(f, g)) (4 x)"
    assert arrows(graph({"inputs": {"x": [3, 4]}, "layers": layers, "forward": f"{loop}return x"})) == [
        f"input x -> {head}  [3, 4]",
        f"{head} -> f.0  [3, 4]",
        "f.0 -> if x.sum() > 1  [3, 4]",
        "f.0 -> g.0  [3, 4]",
        f"g.0 => {head}  [3, 4]",
        f"f.0 => {head}  [3, 4]",
        f"{head} -> output  [3, 4]",
    ]


def test_equal_blocks_are_one_cluster_that_counts_them():
    found = graph(compose("model=gpt2", "model.args.layers=12", "model.args.dim=48", "model.args.vocab=100")[0])
    assert "h.0-11: 12 x Block" in [each.label for each in found.clusters]
    assert not [node.name for node in found.nodes if node.name.startswith("transformer.h.1.")]
    (head,) = [node for node in found.nodes if node.name == "lm_head"]
    assert head.note == "weight = transformer.wte.weight"


def test_a_definition_that_is_used_twice_is_unfolded_once_where_the_picture_grows_large():
    model = compose("model=resnet18")[0]
    whole, small = graph(model, most=1_000), graph(model)
    assert len(whole.nodes) > 50 > 25 > len(small.nodes)
    blocks = [each.name for each in small.clusters if each.label.endswith("BasicBlock")]
    assert blocks == ["layer1.0"]
    folded = {node.name: node.detail for node in small.nodes}
    assert folded["layer2.0"] == "BasicBlock(dim=64, out=128, stride=2)"


def test_a_picture_leaves_the_model_as_it_was():
    draft = drafts.draft({"inputs": {"x": [4, 3]}, "layers": ["BatchNorm1d(3)", "Dropout"]})
    model = fill(draft, "cpu")
    model[0].eval()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    drawn(draft)
    assert [each.training for each in model.modules()] == [True, False, True]
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert not model[0]._forward_hooks


def test_a_model_without_an_example_has_a_picture_without_shapes():
    assert arrows(graph({"layers": ["Linear(4, 2)", "ReLU"]})) == ["input x -> 0", "0 -> 1", "1 -> output"]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_small_picture_whose_arrows_lead_from_the_inputs_to_the_output(name):
    small = {"vgg16": ["model.inputs.x=[1,3,32,32]"], "unet": ["model.inputs.x=[1,1,32,32]"]}.get(name, [])
    found = graph(compose(f"model={name}", *small)[0])
    assert len(found.nodes) <= 44
    names = {node.name for node in found.nodes}
    assert all(edge.source in names and edge.target in names for edge in found.edges)
    reached = {node.name for node in found.nodes if node.kind == "input"}
    reached |= {node.name for node in found.nodes if node.kind != "module"} - {edge.target for edge in found.edges}
    grown = True
    while grown:
        new = {edge.target for edge in found.edges if edge.source in reached} - reached
        reached, grown = reached | new, bool(new)
    assert "output" in reached
    # Whoever is called stands between what it takes and what it gives.
    for node in found.nodes:
        if node.kind == "module":
            assert node.name in reached, node
            assert any(edge.source == node.name for edge in found.edges), node
    svg = ElementTree.fromstring(drawing.svg(found))
    assert len(svg.findall(".//{*}g")) == len(found.nodes)
    width, height = float(svg.attrib["width"]), float(svg.attrib["height"])
    boxes = [
        [float(rect.attrib[key]) for key in ("x", "y", "width", "height")] for rect in svg.findall(".//{*}g/{*}rect")
    ]
    for x, y, wide, high in boxes:
        assert 0 <= x <= x + wide <= width
        assert 0 <= y <= y + high <= height
    for index, one in enumerate(boxes):
        for other in boxes[:index]:
            apart = one[0] + one[2] <= other[0] or other[0] + other[2] <= one[0]
            assert apart or one[1] + one[3] <= other[1] or other[1] + other[3] <= one[1], (one, other)


def test_mermaid_text_has_blocks_as_subgraphs_and_every_sign_quoted():
    assert mermaid.text(graph(block('return {"y": relu(a(x)) < 1}["y"]', buffers={"k": {"shape": [4], "fill": 1}})))
    assert mermaid.text(graph(compose("model=fixed_hidden")[0])).splitlines() == [
        "flowchart TD",
        '  n0(["x"])',
        '  n1["linear<br>Linear(20, 20)"]',
        '  n2[("rand_weight<br>[20, 20]")]',
        '  n3("relu(x @ rand_weight)")',
        '  n6("sum()")',
        '  n7(["output"])',
        '  subgraph c0["loop"]',
        '    n4{{"while x.abs().sum() > 1"}}',
        '    n5("x / 2")',
        "  end",
        '  n0 -->|"#1 [2, 20]"| n1',
        '  n1 -->|"#1 [2, 20]"| n3',
        '  n2 -->|"[20, 20]"| n3',
        '  n3 -->|"#2 [2, 20]"| n1',
        '  n1 -->|"#2 [2, 20]"| n4',
        '  n4 -->|"[2, 20]"| n5',
        '  n5 -.->|"[2, 20]"| n4',
        '  n4 -->|"[2, 20]"| n6',
        '  n6 -->|"[]"| n7',
    ]


def test_no_label_ends_a_quoted_text_of_mermaid():
    text = mermaid.text(graph(block("return a(x).softmax(-1).view(2, 4) if x.dtype == x.dtype else b(x)")))
    for line in text.splitlines()[1:]:
        assert len(re.findall('"', line)) in (0, 2), line
