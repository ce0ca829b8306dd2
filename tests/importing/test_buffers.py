"""What a module does to its buffers in training is said, with the same numbers afterwards."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import modelzoo
from modelzoo.errors import ConfigError


class Centred(nn.Module):
    """Assigns a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)
        self.register_buffer("center", torch.zeros(1, 6))
        self.register_buffer("calls", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x)
        if self.training:
            with torch.no_grad():
                self.center = self.center * 0.9 + y.mean(0, keepdim=True) * 0.1
                self.calls += 1
        return y - self.center


class Codes(nn.Module):
    """Changes buffers in place, and copies what comes out into another one."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("book", torch.randn(5, 6))
        self.register_buffer("count", torch.ones(5))
        self.register_buffer("total", self.book.clone())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        nearest = torch.cdist(x, self.book).argmin(-1)
        chosen = nn.functional.embedding(nearest, self.book)
        if self.training:
            ones = nn.functional.one_hot(nearest, 5).to(x.dtype)
            self.count.mul_(0.9).add_(ones.sum(0), alpha=0.1)
            self.total.mul_(0.9).add_(ones.t() @ x.detach(), alpha=0.1)
            self.book.copy_(self.total / self.count.unsqueeze(1))
        return x + (chosen - x).detach(), nearest


class Normed(nn.Module):
    """Statistics by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(6))
        self.register_buffer("mean", torch.zeros(6))
        self.register_buffer("var", torch.ones(6))

    def forward(self, x: Tensor) -> Tensor:
        mean, var = self.mean, self.var
        if self.training:
            mean, var = x.mean(0), x.var(0)
            self.mean.lerp_(mean.detach(), 0.1)
            self.var.lerp_(var.detach(), 0.1)
        return (x - mean) / torch.sqrt(var + 1e-5) * self.weight


@pytest.mark.parametrize("cls", [Centred, Codes, Normed])
def test_buffers_that_training_sets_are_set(cls: type[nn.Module]):
    torch.manual_seed(0)
    module = cls()
    model = modelzoo.build(modelzoo.from_module(module, torch.randn(4, 6)))
    model.load_state_dict(module.state_dict())
    for training in (True, True, False):
        x = torch.randn(5, 6)
        found, expected = model.train(training)(x), module.train(training)(x)
        pairs = [(found, expected)] if isinstance(found, Tensor) else zip(found, expected, strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
        assert all(torch.equal(a, b) for a, b in zip(model.buffers(), module.buffers(), strict=True))


def test_a_buffer_is_set_under_its_name():
    assert modelzoo.from_module(Centred(), torch.randn(4, 6))["forward"] == (
        "y = fc(x)\n"
        "if training:\n"
        "    center = center * 0.9 + y.mean(0, keepdim=True).detach() * 0.1\n"
        "    calls = calls + 1\n"
        "    return y - center\n"
        "return y - center\n"
    )


class Always(Centred):
    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.fc(x)


class Through(Centred):
    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.center = self.fc(x).mean(0, keepdim=True)
        return x - self.center


class Of(Centred):
    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.fc.weight.data.mul_(0.5)
            self.fc.bias.requires_grad_(False).zero_()
        return self.fc(x)


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (Always, "Always: it changes its buffer 'calls' in evaluation too, and a text does so in training alone"),
        (Through, "Through: it assigns its buffer 'center'"),
        (Of, "Of: zero_ changes a tensor of the module"),
    ],
)
def test_what_no_text_may_set_is_told(cls: type[nn.Module], said: str):
    with pytest.raises(ConfigError) as caught:
        modelzoo.from_module(cls(), torch.randn(4, 6))
    assert said in [each.what for each in caught.value.problems]


class Turned(Centred):
    """Has another gradient in training, and the same values."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x)
        if self.training:
            y.register_hook(lambda gradient: -gradient)
        return y


def test_gradients_in_training_are_compared():
    with pytest.raises(ConfigError, match="what was imported is not the same: it has other gradients in training"):
        modelzoo.from_module(Turned(), torch.randn(4, 6))


@pytest.mark.parametrize("norm", [nn.Identity(), nn.LayerNorm(300)])
def test_they_are_compared_where_all_weights_before_what_changes_them_are_large(norm: nn.Module):
    module = Turned()
    module.fc = nn.Linear(300, 300, bias=False)
    with pytest.raises(ConfigError, match="what was imported is not the same: it has other gradients in training"):
        modelzoo.from_module(nn.Sequential(module, norm), torch.randn(4, 300))
