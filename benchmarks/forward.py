"""What a forward pass of a generated class costs beside the same class written by hand.

    python benchmarks/forward.py [rounds]

Both have the same values; the outputs must agree bit by bit.
"""

from __future__ import annotations

import pathlib
import sys
import time
from collections.abc import Callable

import torch
from timing import interleaved, ratio, report, verdict
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import modelzoo

WITHIN_NOISE = 1.02


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.wide = nn.Linear(width, 4 * width)
        self.out = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.out(functional.gelu(self.wide(self.norm(x))))


class Scaled(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.hidden(x))
        for _ in range(3):
            y = functional.relu(self.hidden(y)) * self.scale
        return x + y


class Blocks(nn.Module):
    def __init__(self, block: type[nn.Module], width: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(block(width) for _ in range(4)))  # type: ignore[call-arg]
        self.head = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(x))


def config(width: int, block: dict[str, object]) -> dict[str, object]:
    return {
        "args": {"dim": width},
        "blocks": {"Block": block},
        "layers": {"blocks": {"_target_": "Block(dim)", "_repeat_": 4}, "head": "Linear(dim, dim)"},
        "forward": "head(blocks(x))",
    }


RESIDUAL = {
    "args": ["dim"],
    "layers": {"norm": "LayerNorm(dim)", "wide": "Linear(dim, 4 * dim)", "out": "Linear(4 * dim, dim)"},
    "forward": "x + out(gelu(wide(norm(x))))",
}
SCALED = {
    "args": ["dim"],
    "layers": {"hidden": "Linear(dim, dim)"},
    "parameters": {"scale": {"shape": ["dim"], "fill": "ones"}},
    "forward": "y = relu(hidden(x))\nfor _ in range(3):\n    y = relu(hidden(y)) * scale\nreturn x + y",
}
CASES: dict[str, tuple[type[nn.Module], dict[str, object]]] = {
    "residual blocks": (Residual, RESIDUAL),
    "a loop, a shared layer, an own tensor": (Scaled, SCALED),
}


def repeated(model: nn.Module, x: Tensor, times: int) -> Callable[[], None]:
    def run() -> None:
        with torch.no_grad():
            for _ in range(times):
                model(x)

    return run


def main(rounds: int = 31) -> int:
    torch.set_num_threads(1)
    kept = True
    for width, limit, times in ((8, 1.0, 200), (768, WITHIN_NOISE, 4)):
        for name, (block, text) in CASES.items():
            hand = Blocks(block, width)
            made = modelzoo.build(config(width, text))
            made.load_state_dict(hand.state_dict())
            x = torch.randn(16, width)
            if not torch.equal(hand(x), made(x)):
                raise SystemExit(f"the outputs of {name} differ")
            pair = {"written by hand": repeated(hand, x, times), "modelzoo": repeated(made, x, times)}
            measured = interleaved(pair, rounds, time.process_time)
            report(f"width {width}, {name}, {times} forwards", measured, "written by hand")
            kept &= verdict("modelzoo / hand", ratio(measured, "modelzoo", "written by hand"), limit)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
