"""What a module does again and again comes back as a loop, which goes as far for other inputs as the module does."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import modelzoo


class Decoder(nn.Module):
    """Steps over the words, and collects what it says."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.cell, self.out = nn.Embedding(9, 8), nn.GRUCell(8, 8), nn.Linear(8, 9)

    def forward(self, tokens: Tensor, state: Tensor) -> Tensor:
        said = []
        for step in range(tokens.shape[1]):
            state = self.cell(self.embed(tokens[:, step]), state)
            said.append(self.out(state))
        return torch.stack(said, dim=1)


class Rows(nn.Module):
    """Takes the first dimension apart, and keeps two states."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(8, 8)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = c = x.new_zeros(x.shape[1], 8)
        left = []
        for row in x:
            h, c = self.cell(row, (h, c))
            left += [h]
        return torch.cat(left), c


class Backwards(Rows):
    """Begins at the end."""

    def forward(self, x: Tensor) -> Tensor:
        state = (torch.zeros(x.shape[1], 8), torch.zeros(x.shape[1], 8))
        for at in range(x.shape[0] - 1, -1, -1):
            state = self.cell(x[at], state)
        return state[0]


class Later(Rows):
    """The first step is another one."""

    def forward(self, x: Tensor) -> Tensor:
        state = self.cell(x[0])
        for at in range(1, x.shape[0]):
            state = self.cell(x[at] - x[at - 1], state)
        return state[1]


class Stacked(nn.Module):
    """Several cells in each step."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.ModuleList(nn.GRUCell(8, 8) for _ in range(2))
        self.noise = nn.Dropout(0.2)

    def forward(self, x: Tensor) -> Tensor:
        states, found = [x.new_zeros(x.shape[0], 8) for _ in self.cells], []
        for step in range(x.shape[1]):
            given = x[:, step]
            for number, cell in enumerate(self.cells):
                states[number] = given = self.noise(cell(given, states[number]))
            found.append(given)
        return torch.stack(found, dim=1)


STEPS = {
    Decoder: (
        (torch.randint(9, (2, 4)), torch.randn(2, 8)),
        "said = []\n"
        "for i in range(tokens.shape[1]):\n"
        "    state = cell(embed(tokens[:, i]), state)\n"
        "    said = said + [out(state)]\n"
        "return stack(said, dim=1)\n",
    ),
    Rows: (
        (torch.randn(4, 2, 8),),
        "h = x.new_zeros(x.shape[1], 8)\n"
        "y = (h, h)\n"
        "left = []\n"
        "for i in range(x.shape[0]):\n"
        "    y = cell(x[i], y)\n"
        "    left = left + [y[0]]\n"
        "return (cat(left), y[1])\n",
    ),
    Backwards: (
        (torch.randn(4, 2, 8),),
        "state = (zeros(x.shape[1], 8), zeros(x.shape[1], 8))\n"
        "for i in range(x.shape[0]):\n"
        "    state = cell(x[x.shape[0] - 1 - i], state)\n"
        "return state[0]\n",
    ),
    Later: (
        (torch.randn(4, 2, 8),),
        "state = cell(x[0])\n"
        "for i in range(1, x.shape[0]):\n"
        "    state = cell(x[i] - x[i - 1], state)\n"
        "return state[1]\n",
    ),
    Stacked: ((torch.randn(3, 4, 8),), None),
}


@pytest.mark.parametrize("cls", STEPS)
def test_steps_over_a_dimension_are_a_loop_over_it(cls: type[nn.Module]):
    (first, *others), text = STEPS[cls]
    module = cls()
    config = modelzoo.from_module(module, (first, *others))
    assert text is None or config["forward"] == text
    model = modelzoo.build(config)
    model.load_state_dict(module.state_dict())
    dim = 0 if issubclass(cls, Rows) else 1
    for length in (2, 4, 7):
        given = torch.cat([first, first], dim).narrow(dim, 0, length)
        for training in (False, True):
            torch.manual_seed(1)
            found = model.train(training)(given, *others)
            torch.manual_seed(1)
            expected = module.train(training)(given, *others)
            assert torch.equal(*(each if isinstance(each, Tensor) else torch.cat(each) for each in (found, expected)))


class Collected(nn.Module):
    """Layers that get everything that was computed before."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(8 + 4 * each, 4) for each in range(4))

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.layers:
            features.append(torch.relu(layer(torch.cat(features, 1))))
        return torch.cat(features, 1)


class Experts(nn.Module):
    """Layers with a weight each."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(8, 3)
        self.experts = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        weights, total = self.gate(x).softmax(-1), torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            total = total + weights[:, number : number + 1] * expert(x)
        return total


class Heads(nn.Module):
    """Layers side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(8, 2) for _ in range(3))

    def forward(self, x: Tensor) -> dict[str, Tensor | list[Tensor]]:
        found = [head(x) for head in self.heads]
        return {"all": found, "sum": torch.stack(found).sum(0)}


class Iterated(nn.Module):
    """A fixed point, in some steps."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        z = torch.zeros_like(x)
        for _ in range(5):
            z = torch.tanh(self.inner(z) + self.outer(x))
        return z


@pytest.mark.parametrize(
    ("cls", "text"),
    [
        (
            Collected,
            "features = [x]\n"
            "for layer in layers:\n"
            "    features = features + [relu(layer(cat(features, 1)))]\n"
            "return cat(features, 1)\n",
        ),
        (
            Experts,
            "weights = gate(x).softmax(-1)\n"
            "total = zeros_like(x)\n"
            "for i, layer in enumerate(experts):\n"
            "    total = total + weights[:, i:i + 1] * layer(x)\n"
            "return total\n",
        ),
        (
            Heads,
            "found = []\n"
            "for layer in heads:\n"
            "    found = found + [layer(x)]\n"
            "return {'all': found, 'sum': stack(found).sum(0)}\n",
        ),
        (Iterated, "z = zeros_like(x)\nfor _ in range(5):\n    z = tanh(inner(z) + outer(x))\nreturn z\n"),
    ],
)
def test_lists_that_grow_and_numbers_that_count_are_said(cls: type[nn.Module], text: str):
    assert modelzoo.from_module(cls(), torch.randn(2, 8))["forward"] == text


class Asked(nn.Module):
    """Is called with texts of two lengths."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        state = torch.zeros(x.shape[0], 8)
        for step in range(x.shape[1]):
            state = self.cell(x[:, step], state)
        return state


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Asked()

    def forward(self, question: Tensor, answer: Tensor) -> Tensor:
        return (self.encoder(question) * self.encoder(answer)).sum(-1)


def test_a_block_that_is_called_with_several_lengths_is_one_block():
    config = modelzoo.from_module(Pair(), (torch.randn(2, 4, 8), torch.randn(2, 6, 8)))
    assert config["layers"] == {"encoder": "Asked"}
    assert "for i in range(x.shape[1]):\n" in config["blocks"]["Asked"]["forward"]


class Apart(nn.Module):
    """Uses what single turns left, which no loop leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(nn.Linear(8, 8) for _ in range(4))
        self.sides = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        found = []
        for stage in self.stages:
            x = torch.relu(stage(x))
            found.append(x)
        return tuple(side(each) for side, each in zip(self.sides, found[1::2], strict=True))


def test_what_single_turns_leave_keeps_turns_apart():
    module, x = Apart(), torch.randn(2, 8)
    model = modelzoo.build(modelzoo.from_module(module, x))
    model.load_state_dict(module.state_dict())
    found, expected = model(x), module(x)
    assert type(found) is type(expected) is tuple
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


class Dense(nn.ModuleDict):
    """A container that calls its own layers, each with all that the others gave."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        for number in range(depth):
            self[f"layer{number + 1}"] = nn.Linear(width + 4 * number, 4)

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.values():
            features.append(torch.relu(layer(torch.cat(features, 1))))
        return torch.cat(features, 1)


def test_containers_that_call_their_own_layers_are_one_definition():
    module, x = nn.Sequential(Dense(8, 3), Dense(20, 4)), torch.randn(2, 8)
    config = modelzoo.from_module(module, x)
    assert config["layers"] == ["Dense(3, 8)", "Dense(4, 20)"]
    assert config["blocks"]["Dense"] == {
        "args": ["depth", "in_features"],
        "layers": {
            "copies": {
                "_repeat_": "depth",
                "_name_": "layer{i + 1}",
                "_target_": "Linear(in_features + 4 * i, 4)",
                "_unpack_": True,
            }
        },
        "forward": "features = [x]\n"
        "for layer in layers:\n"
        "    features = features + [relu(layer(cat(features, 1)))]\n"
        "return cat(features, 1)\n",
    }
    model = modelzoo.build(config)
    assert list(model.state_dict()) == list(module.state_dict())
    model.load_state_dict(module.state_dict())
    assert torch.equal(model(x), module(x))


class Spread(nn.Module):
    """Layers that get what the others gave one by one, and a sum of two."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Joined(8 + 4 * each) for each in range(3))
        self.sides = nn.ModuleList(nn.Linear(20, 2) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.layers:
            features.append(layer(*features))
        x = torch.cat(features, 1)
        return self.sides[0](x) + self.sides[1](x)


class Joined(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc = nn.Linear(dim, 4)

    def forward(self, *given: Tensor) -> Tensor:
        return self.fc(torch.cat(given, 1))


def test_arguments_are_no_list_that_grows():
    module, x = Spread(), torch.randn(2, 8)
    config = modelzoo.from_module(module, x)
    assert "for" not in config["forward"]
    model = modelzoo.build(config)
    model.load_state_dict(module.state_dict())
    assert torch.equal(model(x), module(x))
