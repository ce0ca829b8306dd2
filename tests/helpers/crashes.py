"""Calls of all that the catalog holds with hostile arguments, each in a process that it may end: which do?

Run by hand for as long as you like: `python -m tests.helpers.crashes --calls 100000 --seed 1`.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import inspect
import os
import random
import re
import resource
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

import modelzoo
from modelzoo.language import compiler
from modelzoo.language.names import Names
from modelzoo.modules.strict import strictly
from modelzoo.modules.uncompiled import uncompiled
from tests.catalog.test_catalog import CALLS, METHOD_CALLS, PLAIN_LAYERS, given_at_least, samples

SECONDS = 10
"""Of processor time that one call may take."""

MEMORY = 4 * 10**9
"""What `run FILE` allows."""

MORE = """
repeat_interleave(x,k,0) repeat_interleave(x,k,0,output_size=6) repeat_interleave(k) x.repeat_interleave(k,0)
max_pool1d(b,2,1,1,1,ceil_mode=True) max_pool2d(p2,2,1,1,1,True) max_pool3d(p3,2,1,1,1,True)
max_pool2d(p2,2,1,1,1,True,True) avg_pool1d(b,2,1,1,True,True) avg_pool2d(p2,2,1,1,True,True,3)
avg_pool3d(p3,2,1,1,True,True,3) conv1d(b,b,v,1,1,1,1) conv2d(p2,p2,v,(1,1),(1,1),(1,1),1) conv3d(p3,p3,v,1,1,1,1)
conv_transpose1d(b,b,v,1,1,0,1,1) conv_transpose2d(p2,p2,v,(2,2),(1,1),(1,1),1,(1,1))
conv_transpose3d(p3,p3,v,1,1,0,1,1) fold(b,(3,3),(2,2),(1,1),(0,0),(1,1)) unfold(p2,(2,2),1,1,1)
adaptive_max_pool2d(p2,(2,2)) adaptive_avg_pool3d(p3,(2,2,2)) interpolate(p2,size=(8,8),mode='bilinear')
interpolate(p2,size=(8,8),mode='nearest') interpolate(b,size=8,mode='linear') interpolate(p3,size=(8,8,8))
interpolate(p2,size=(3,3),mode='bicubic',antialias=True) interpolate(p2,scale_factor=0.5,mode='area')
pad(p2,(1,1,1,1),mode='reflect') pad(b,(1,1),mode='replicate') pad(p2,(1,1,1,1),mode='circular') pad(x,(1,1,1,1))
grid_sample(p2,g,mode='bicubic',align_corners=True) grid_sample(p2,g,mode='nearest',padding_mode='reflection')
embedding(k,x,1) one_hot(k,5) bincount(k,v,2) bincount(k,minlength=3) cross_entropy(x,k,v) cross_entropy(b,i)
cross_entropy(x,k,ignore_index=1,label_smoothing=0.1) nll_loss(x,k,v) nll_loss(x,k,ignore_index=-100)
topk(x,2,0,True,True) arange(0,3,1) arange(0.0,3.0,0.5) eye(2,3) tril_indices(2,2,1) full((2,3),1) randperm(5)
multinomial(x,2,True) gather(x,1,i) scatter(x,1,i,2.0) scatter(x,0,i,y,reduce='add') index_add(x,0,k,y,alpha=2)
take_along_dim(x,i) diag(v,1) diag_embed(x,1,0,2) diagonal(x,1,0,1) tril(x,1) roll(x,(1,2),(0,1)) narrow(x,1,1,2)
x.unfold(0,2,1) x.expand(3,4,4) x.view(2,2,2,2) x.select(0,1) split(x,(1,3),0) chunk(x,3,1) tile(x,(2,2))
x.repeat(2,2,2) unflatten(x,1,(2,-1)) cdist(x,y,1.0) cdist(b,b,3.0) norm(x,3) norm(x,2,0,True) std(x,0,correction=1)
einsum('ij,kj->ik',x,y) einsum('ii->i',x) tensordot(b,b,2) baddbmm(b,b,b,beta=2,alpha=3) addmm(i,i,i) mm(i,i)
pow(i,i) remainder(i,i) remainder(i,2) fmod(i,i) fmod(i,3) i.div(i) i.div(2) i.div(i,rounding_mode='floor')
i.div(i,rounding_mode='trunc') i.div(2,rounding_mode='trunc') round(x,decimals=2) clamp(i,1,2) lerp(i,i,2)
group_norm(b,2,v,v) layer_norm(b,(4,4)) local_response_norm(b,2,1.0,0.5,1.0) normalize(x,2.0,0,1e-12)
channel_shuffle(b,2) pixel_shuffle(p2,2) gumbel_softmax(x,1.0,True) threshold(x,0.1,2) alpha_dropout(x,0.5,True)
scaled_dot_product_attention(b,b,b,x,0.0,False) scaled_dot_product_attention(p2,p2,p2,is_causal=True,scale=0.3)
affine_grid(a,(1,1,20,2),True) x.new_full((2,3),1) x.new_zeros((2,3)) broadcast_to(x,(3,4,4)) x.item()
fft(x,6,0) fft(x,3,-1,'ortho') ifft(x,5,1) rfft(x,7,0) irfft(x,6,-1) irfft(x.to('complex64'),1) fft(i) rfft(k)
fft2(b,(3,5),(0,2)) ifft2(b,(4,4)) rfft2(p2,(2,7),(1,2),'forward') irfft2(p2,(3,3),(-1,-2)) irfft2(x.to('complex128'))
fftn(p2,(2,3,4)) ifftn(b,dim=(0,1)) rfftn(p3,(2,2),(0,4)) irfftn(p2,(2,3,4),(0,1,2)) fftshift(x,(0,1)) ifftshift(b,1)
fftfreq(4,0.5) rfftfreq(5,2.0) fftfreq(1,dtype='float64') complex(v,v[0]) angle(i) conj(x.to('complex64'))
searchsorted(v,x,right=True) searchsorted(x,y,sorter=i) searchsorted(v,v,sorter=k,side='right') searchsorted(v,0.5)
searchsorted(k,i,out_int32=True) bucketize(x,v,right=True) bucketize(i,k,out_int32=True) bucketize(2,v)
index_add(x,1,k,y,alpha=0.5) x.index_add(0,k,b[0]) scatter_add(b,2,b.long(),b) scatter_add(x,1,i,y)
x[1] x[1:3] x[k] x[m] x[i] b[1,k] x[0:3:2] i//i i%i i%3 i//2 i**i i**2 i&i -i i.abs()
""".split()
"""Beside the plain calls of `test_catalog`: with more arguments, and operators."""

NUMBERS = (
    *("0 -1 1 2 3 5 -2 -5 7 100 2**15 2**20 2**24 2**30 2**31-1 2**31 2**31+2 2**32 2**32+2 2**40 2**62".split()),
    *("9223372036854775807 -2**31 -2**32 -2**62 (-9223372036854775807-1)".split()),
    *("0.5 1e-30 1e30 1e308 float('inf') float('-inf') float('nan') None True".split()),
)
INTEGERS = {
    "int64": ("-1", "2**31", "2**62", "9223372036854775807", "(-9223372036854775807-1)"),
    "int32": ("2147483647", "(-2147483647-1)", "-1"),
    "int8": ("-128", "-1"),
    "uint8": ("255",),
}
TENSORS = (
    *(
        "{}[:0] {}.narrow(-1,0,0) {}.long() {}.bool() {}.to('complex64') {}.half() {}.double() {}[None] {}[0] -{}".split()
    ),
    *("{}*float('nan') {}*0+float('inf') {}*3e38 {}*0 {}.mT {}[:1]".split()),
    *(f"{{}}.new_full({{}}.shape,{n},dtype='{dtype}')" for dtype, all_ in INTEGERS.items() for n in all_),
)
NAMES = frozenset(samples())


class Hostile(ast.NodeTransformer):
    """Replaces the numbers and tensors of a call whose places are chosen; counts them all."""

    def __init__(self, chosen: Sequence[int], draw: random.Random) -> None:
        self.chosen, self.draw, self.places = set(chosen), draw, 0

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return node if isinstance(node.value, str) else self.replaced(node, self.draw.choice(NUMBERS))

    def visit_Name(self, node: ast.Name) -> ast.expr:
        name = node.id
        return self.replaced(node, self.draw.choice(TENSORS).replace("{}", name)) if name in NAMES else node

    def replaced(self, node: ast.expr, text: str) -> ast.expr:
        self.places += 1
        return ast.parse(f"({text})", mode="eval").body if self.places - 1 in self.chosen else node


def hostile(call: str, draw: random.Random) -> str:
    """The call with one to three arguments replaced."""
    counting = Hostile((), random.Random(0))
    counting.visit(ast.parse(call))
    chosen = draw.sample(range(counting.places), min(draw.choice((1, 1, 1, 2, 2, 3)), counting.places))
    return ast.unparse(Hostile(chosen, draw).visit(ast.parse(call)))


def layer_calls(draw: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of each layer of the catalog a call, its arguments or its inputs hostile."""
    for layer in PLAIN_LAYERS:
        arguments = given_at_least(layer.name)
        open_ = [each for each in layer.signature if each not in ("args", "modules", "inplace")]
        for each in draw.sample(open_, min(len(open_), draw.choice((0, 1, 2)))):
            value = eval(draw.choice(NUMBERS), {"float": float})
            arguments = {**arguments, each: draw.choice((value, value, [value, 2], True, "none", "mean", "sum"))}
        found = re.search(r"([123])d$", layer.name)
        tensor = {"1": "b", "2": "p2", "3": "p3"}[found[1]] if found else draw.choice(("x", "b", "k", "i"))
        wanted = inspect.signature(layer.cls.forward).parameters.values()
        count = sum(each.default is each.empty for each in wanted) - 1
        values = [hostile(tensor, draw) if draw.random() < 0.4 else tensor for _ in range(count)]
        yield f"l({', '.join(values)})", {"_target_": layer.name, **arguments}


def inputs() -> dict[str, Any]:
    dtypes = {torch.float32: "float32", torch.int64: "int64", torch.bool: "bool"}
    return {name: {"shape": list(each.shape), "dtype": dtypes[each.dtype]} for name, each in samples().items()}


def call(text: str, device: torch.device) -> None:
    """Runs a text as a `forward` does in a dry run, on values."""
    translation = compiler.translate(text, Names(inputs=tuple(samples())), "forward")
    if translation.code is not None:
        forward = compiler.link(translation.watched or translation.code, {}, 100)
        tensors = {name: each.to(device) for name, each in samples().items()}
        with torch.no_grad(), uncompiled(), strictly(device):
            forward(None, **tensors)


def attempts(count: int, seed: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each call, as it is shown, and what does it."""
    draw = random.Random(seed)
    cpu, meta = torch.device("cpu"), torch.device("meta")
    texts = [*CALLS.split(), *(f"x.{each}" for each in METHOD_CALLS.split()), *MORE * 2]
    while count > 0:
        for text in draw.sample(texts, len(texts)):
            text = hostile(text, draw)
            device = meta if draw.random() < 0.1 else cpu
            yield f"{text} on {device}", lambda text=text, device=device: call(text, device)  # type: ignore[misc]
            count -= 1
        for text, layer in layer_calls(draw):
            model = {"inputs": inputs(), "layers": {"l": layer}, "forward": text}
            yield f"{text} of {layer}", lambda model=model: modelzoo.build(model)  # type: ignore[misc]
            count -= 1


def ended(count: int, seed: int) -> Iterator[str]:
    """The calls that ended their process, with the signal; one that takes too long is ended by SIGPROF."""
    todo = list(attempts(count, seed))
    done = 0
    with tempfile.TemporaryFile() as marker:
        while done < len(todo):
            child = os.fork()
            if not child:
                _go_on(todo, done, marker.fileno())
            status = os.waitpid(child, 0)[1]
            if status == 0:
                return
            done = int(os.pread(marker.fileno(), 8, 0))
            name = signal.Signals(status & 127).name if status & 127 else f"exit code {status >> 8}"
            yield f"{name}: {todo[done][0]}"
            done += 1


def _go_on(todo: Sequence[tuple[str, Callable[[], object]]], start: int, marker: int) -> None:
    """The rest of the calls; it never returns."""
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        for index in range(start, len(todo)):
            os.pwrite(marker, f"{index:8d}".encode(), 0)
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            with contextlib.suppress(Exception):  # what is said is not asked here
                todo[index][1]()
            signal.setitimer(signal.ITIMER_PROF, 0)
        code = 0
    finally:
        os._exit(code)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.helpers.crashes", description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    modelzoo.plan({"inputs": {"x": [2, 4]}, "forward": "x.view(2, 2, 2).logsumexp(0)"})
    found = 0
    for each in ended(given.calls, given.seed):
        print(each, flush=True)
        found += 1
    return min(found, 1)


if __name__ == "__main__":
    sys.exit(main())
