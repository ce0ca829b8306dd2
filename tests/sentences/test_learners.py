"""What learners of PyTorch ask most often about a network: one message, at its line, whose advice works.

The mistakes are those of questions in forums; the name of each is the error of PyTorch that the question quotes.
"""

from __future__ import annotations

import re
import sys
import textwrap

import pytest
import torch
import yaml

import modelzoo

MISTAKES = {
    "mat1 and mat2 shapes cannot be multiplied: a size after convolutions": (
        """
        inputs: {x: [2, 1, 28, 28]}
        layers:
          conv1: Conv2d(1, 16, 5, padding=2)
          conv2: Conv2d(16, 32, 5, padding=2)
          pool: MaxPool2d(2)
          out: Linear(1050, 10)
        forward: |
          x = pool(relu(conv1(x)))
          x = pool(relu(conv2(x)))
          x = x.view(x.size(0), -1)
          return out(x)
        """,
        "model.yaml:11:10  model.forward\n"
        "  'out' is Linear(in_features=1050, out_features=10): it takes [*, 1050] but gets [2, 1568]; write "
        "in_features=1568. It is model.layers.out (model.yaml:6:3). The layer called before is 'pool' "
        "(model.yaml:5:3).",
        {"Linear(1050, 10)": "Linear(in_features=1568, out_features=10)"},
    ),
    "mat1 and mat2 shapes cannot be multiplied: a flatten is forgotten": (
        """
        inputs: {x: [2, 3, 32, 32]}
        layers:
          - Conv2d(3, 64, 3, padding=1)
          - ReLU
          - MaxPool2d(2)
          - Linear(64 * 16 * 16, 10)
        """,
        "model.yaml:6:5  model.layers.3\n"
        "  '3' is Linear(in_features=16384, out_features=10): it takes [*, 16384] but gets [2, 64, 16, 16], which "
        "Flatten makes [2, 16384]. Write Flatten before it. The input is what '2' returns (model.yaml:5:5).",
        {"  - Linear": "  - Flatten\n  - Linear"},
    ),
    "Given groups=1, weight of size [64, 32, 3, 3], expected input to have 32 channels": (
        """
        inputs: {x: [2, 3, 32, 32]}
        layers:
          - Conv2d(3, 16, 3)
          - ReLU
          - Conv2d(32, 64, 3)
        """,
        "model.yaml:5:5  model.layers.2\n"
        "  '2' is Conv2d(in_channels=32, out_channels=64, kernel_size=3): it takes [32, H, W] or [N, 32, H, W] but gets "
        "[2, 16, 30, 30]; write in_channels=16. The input is what '1' returns (model.yaml:4:5).",
        {"Conv2d(32, 64, 3)": "Conv2d(in_channels=16, out_channels=64, kernel_size=3)"},
    ),
    "Expected 4-dimensional input for 4-dimensional weight": (
        """
        inputs: {x: [28, 28]}
        layers:
          - Conv2d(1, 16, 3)
          - ReLU
        """,
        "model.yaml:3:5  model.layers.0\n"
        "  '0' is Conv2d(in_channels=1, out_channels=16, kernel_size=3): it takes [1, H, W] or [N, 1, H, W] but gets "
        "[28, 28]. Write x: [1, 1, 28, 28]. The input is the model's 'x' (model.yaml:1:10).",
        {"x: [28, 28]": "x: [1, 1, 28, 28]"},
    ),
    "expected 4D input (got 2D input)": (
        """
        inputs: {x: [2, 20]}
        layers:
          - Linear(20, 64)
          - BatchNorm2d(64)
          - ReLU
        """,
        "model.yaml:4:5  model.layers.1\n"
        "  '1' is BatchNorm2d(num_features=64): it takes [N, 64, H, W] but gets [2, 64]. Write BatchNorm1d. The input is "
        "what '0' returns (model.yaml:3:5).",
        {"BatchNorm2d": "BatchNorm1d"},
    ),
    "Expected tensor for argument #1 'indices' to have scalar type Long": (
        """
        inputs: {tokens: [2, 5]}
        layers:
          - Embedding(100, 16)
          - Linear(16, 4)
        """,
        "model.yaml:3:5  model.layers.0\n"
        "  '0' is Embedding(num_embeddings=100, embedding_dim=16) and cannot take [2, 5] float32: Expected tensor for "
        "argument #1 'indices' to have one of the following scalar types: Long, Int; but got torch.FloatTensor instead "
        "(while checking arguments for embedding). Write tokens: {shape: [2, 5], dtype: int64}. The input is the "
        "model's 'tokens' (model.yaml:1:10).",
        {"tokens: [2, 5]": "tokens: {shape: [2, 5], dtype: int64}"},
    ),
    "tuple indices must be integers or slices, not tuple": (
        """
        inputs: {x: [2, 7, 10]}
        layers:
          lstm: LSTM(10, 20, batch_first=True)
          fc: Linear(20, 4)
        forward: |
          out = lstm(x)
          return fc(out[:, -1, :])
        """,
        "model.yaml:7:3  model.forward\n"
        "  return fc(out[:, -1, :]) fails: tuple indices must be integers or slices, not tuple. 'out' is a tuple of 2: "
        "write out, _ = lstm(x).",
        {"out = lstm(x)": "out, _ = lstm(x)"},
    ),
    "The size of tensor a must match the size of tensor b": (
        """
        inputs: {x: [2, 64, 8, 8]}
        layers:
          conv1: Conv2d(64, 128, 3, stride=2, padding=1)
          conv2: Conv2d(128, 128, 3, padding=1)
        forward: |
          out = conv2(relu(conv1(x)))
          out = out + x
          return relu(out)
        """,
        "model.yaml:7:3  model.forward\n"
        "  out = out + x fails: The size of tensor a (4) must match the size of tensor b (8) at non-singleton dimension "
        "3. Here out is [2, 128, 4, 4] and x is [2, 64, 8, 8]. Add shortcut: Conv2d(64, 128, 1, stride=2) to the "
        "layers. Write out = out + shortcut(x).",
        {
            "layers:": "layers:\n  shortcut: Conv2d(64, 128, 1, stride=2)",
            "out = out + x": "out = out + shortcut(x)",
        },
    ),
    "optimizer got an empty parameter list: a layer is made in forward": (
        """
        inputs: {x: [2, 20]}
        layers:
          hidden: Linear(20, 256)
        forward: |
          fc = nn.Linear(256, 10)
          return fc(relu(hidden(x)))
        """,
        "model.yaml:5:8  model.forward\n"
        "  a layer is made in layers, and called here. Add fc: Linear(256, 10) to the layers. Remove this line.",
        {"layers:": "layers:\n  fc: Linear(256, 10)", "  fc = nn.Linear(256, 10)\n": ""},
    ),
    "'Net' object has no attribute 'fc2'": (
        """
        inputs: {x: [2, 20]}
        layers:
          fc1: Linear(20, 256)
          fc3: Linear(256, 10)
        forward: |
          x = relu(fc1(x))
          return fc2(x)
        """,
        "model.yaml:7:10  model.forward\n  there is no function or layer 'fc2'. Did you mean 'fc3'?",
        {"fc2(x)": "fc3(x)"},
    ),
    "'NoneType' object has no attribute: a return is forgotten": (
        """
        inputs: {x: [2, 20]}
        layers:
          hidden: Linear(20, 256)
          out: Linear(256, 10)
        forward: |
          x = relu(hidden(x))
          x = out(x)
        """,
        "model.yaml:7:3  model.forward\n  the text ends without return. End every way through it with return.",
        {"  x = out(x)": "  return out(x)"},
    ),
    'Module [ModuleList] is missing the required "forward" function': (
        """
        inputs: {x: [2, 20]}
        layers:
          blocks: "ModuleList([Linear(20, 20), ReLU])"
        forward: |
          x = blocks(x)
          return x
        """,
        "model.yaml:5:7  model.forward\n"
        "  'blocks' is ModuleList() and cannot take [2, 20]: Module [ModuleList] is missing the required \"forward\" "
        "function. Call its layers in turn: for layer in blocks: x = layer(x). It is model.layers.blocks "
        "(model.yaml:3:3). The input is the model's 'x' (model.yaml:1:10).",
        {"x = blocks(x)": "for layer in blocks: x = layer(x)"},
    ),
}


def placed(message: str) -> str:
    """A message; older versions of Python do not know the column of a call."""
    return message if sys.version_info >= (3, 11) else re.sub(r"(model\.yaml:\d+):\d+", r"\1", message)


@pytest.mark.parametrize("question", MISTAKES)
def test_a_mistake_of_learners_gives_one_message_whose_advice_works(question, tmp_path, monkeypatch):
    mistake, message, mended = MISTAKES[question]
    text = textwrap.dedent(mistake).lstrip()
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "model.yaml"
    file.write_text(text)
    with pytest.raises(modelzoo.ConfigError) as caught:
        modelzoo.build("model.yaml")
    assert placed(str(caught.value)) == placed(message)
    for old, new in mended.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    file.write_text(text)
    inputs = [
        torch.ones(each) if isinstance(each, list) else torch.ones(each["shape"], dtype=torch.int64)
        for each in yaml.safe_load(text)["inputs"].values()
    ]
    assert torch.isfinite(modelzoo.build("model.yaml")(*inputs)).all()
