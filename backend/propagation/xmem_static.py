"""XMem's network for fixed shapes: compiled, or recorded as CUDA graphs.

Both are for one shape of each argument. A video's images are of one size; objects are padded to 1, 2, 4 or the next
power of two, so that a few forms serve any number of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from backend.propagation.xmem import Features, XMem

Mode = Literal["compile", "graphs"]
Function = Callable[..., tuple[Tensor, ...]]

# Shapes that one function is recorded for: those of the numbers of objects, for two sizes of images.
_RECORDINGS = 8


class StaticXMem(XMem):
    """A network that does the same as another one, whose weights it shares.

    The first frames of a video take longer, and again whenever a number or a size is new.

    Args:
        network: the other.
        mode: ``compile`` for torch.compile, which needs a C++ compiler on a CPU and Triton on a GPU; ``graphs`` for
            CUDA graphs, which need a CUDA device and nothing else.
    """

    def __init__(self, network: XMem, mode: Mode) -> None:
        with torch.device("meta"):
            super().__init__()
        self.key_encoder, self.key_proj = network.key_encoder, network.key_proj
        self.value_encoder, self.decoder = network.value_encoder, network.decoder
        self.eval()
        self._functions = {
            name: _compiled(getattr(network, name)) if mode == "compile" else Recorded(getattr(network, name))
            for name in ("run_encoder", "run_values", "run_decoder", "run_updating_decoder")
        }

    def memorise(self, features: Features, masks: Tensor, others: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`XMem.memorise`."""
        count = len(masks)
        value, new = super().memorise(features, _padded(masks), _padded(others), _padded(hidden))
        return value[:count], new[:count]

    def decode(
        self, features: Features, readout: Tensor, hidden: Tensor, *, update: bool
    ) -> tuple[Tensor, Tensor | None]:
        """See :meth:`XMem.decode`."""
        count = len(readout)
        logits, new = super().decode(features, _padded(readout), _padded(hidden), update=update)
        return logits[:count], None if new is None else new[:count]

    def run_encoder(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """See :meth:`XMem.run_encoder`."""
        return self._functions["run_encoder"](*tensors)

    def run_values(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """See :meth:`XMem.run_values`."""
        return self._functions["run_values"](*tensors)

    def run_decoder(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """See :meth:`XMem.run_decoder`."""
        return self._functions["run_decoder"](*tensors)

    def run_updating_decoder(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """See :meth:`XMem.run_updating_decoder`."""
        return self._functions["run_updating_decoder"](*tensors)


class Recorded:
    """A function of tensors on a CUDA device, recorded as a CUDA graph the first time that it sees their shapes."""

    def __init__(self, function: Function) -> None:
        self._function = function
        self._recordings: dict[tuple[object, ...], tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...], Function]] = {}

    def __call__(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        with torch.cuda.device(tensors[0].device):
            return self._replay(tensors)

    def _replay(self, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        shapes = tuple((tensor.shape, tensor.stride(), tensor.dtype) for tensor in tensors)
        if shapes not in self._recordings:
            if len(self._recordings) == _RECORDINGS:
                del self._recordings[next(iter(self._recordings))]
            self._recordings[shapes] = self._record(tensors)
        graph, inputs, outputs = self._recordings[shapes]
        for held, tensor in zip(inputs, tensors, strict=True):
            held.copy_(tensor)
        graph.replay()
        return outputs()

    def _record(self, tensors: tuple[Tensor, ...]) -> tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...], Function]:
        """The graph, the tensors that it reads, and copies of those that it writes."""
        inputs = tuple(tensor.clone() for tensor in tensors)
        # Libraries choose their kernels and take their memory on the first runs, which cannot be recorded.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self._function(*inputs)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = self._function(*inputs)
        return graph, inputs, lambda: tuple(one.clone() for one in outputs)


def _compiled(function: Function) -> Function:
    # A number or a size that is new is compiled anew, never generalised over.
    compiled: Function = torch.compile(function, dynamic=False)
    return compiled


def _padded(objects: Tensor) -> Tensor:
    """(O, ...) -> (P, ...) with the next power of two as P; the rest is 0."""
    missing = (1 << (len(objects) - 1).bit_length()) - len(objects)
    if not missing:
        return objects
    return functional.pad(objects, [0, 0] * (objects.ndim - 1) + [0, missing])
