"""What may be typed more shortly than Hydra reads it."""

from __future__ import annotations

from collections.abc import Iterable


def written_out(arguments: Iterable[str]) -> list[str]:
    """`load=FILE` as the key of the file, `loss=TEXT` as that of the text; Hydra would look for a config of a group.

    A `=` in the name of the file, as trainers write it, needs no quotes of its own.

    >>> written_out(["model=mlp", "load=x.safetensors", "load.strict=false", "load=epoch=3-step=9.ckpt"])
    ['model=mlp', 'load.file=x.safetensors', 'load.strict=false', "load.file='epoch=3-step=9.ckpt'"]
    >>> written_out(["load={file: x.pt, skip: [head.*]}", "load='a=1.pt'", "load=a.pt,b.pt"])
    ['load={file: x.pt, skip: [head.*]}', "load.file='a=1.pt'", 'load.file=a.pt,b.pt']
    >>> written_out(["loss=mse_loss(output, target)", "loss=null"])
    ["loss.forward='mse_loss(output, target)'", 'loss.forward=null']
    >>> print(*written_out(["loss=output['y'].sum()"]))
    loss.forward="output['y'].sum()"
    """
    return [_written_out(each) for each in arguments]


def _written_out(argument: str) -> str:
    name, equals, value = argument.partition("=")
    if name == "loss" and equals and not value.lstrip().startswith("{"):
        if value == "null" or value[:1] in "'\"":
            return f"loss.forward={value}"
        sign = '"' if "'" in value else "'"
        return f"loss.forward={sign}{value}{sign}"
    if name != "load" or not equals or value.lstrip().startswith("{"):
        return argument
    bare = "=" in value and not any(sign in value for sign in "'\",()[]{}")
    return f"load.file='{value}'" if bare else f"load.file={value}"
