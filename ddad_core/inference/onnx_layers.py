"""Folded networks as small ONNX graphs, made layer by layer in milliseconds.

For engines that load it at once. Torch's own exporter traces for many seconds, which a program
that starts cannot wait for; ``ddad_core.export`` uses it for the files given to others. Whether
the graph says what the modules say is checked on every load (``choice.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import nn

from ddad_core.ensemble import Ensemble
from ddad_core.inference.folding import fold_network, fold_ratio
from ddad_core.networks.build import Network
from ddad_core.networks.memae import MemAE
from ddad_core.ratio import BLOCKS, RatioNetwork, Residual

if TYPE_CHECKING:
    import onnx

OPSET = 17
IR_VERSION = 8  # of ONNX 1.12: any run-time library of the last years reads it
INPUT = "images"
EVIDENCE = "evidence"


def networks_to_onnx(a: Ensemble, b: Ensemble, size: int) -> bytes:
    """Describe all networks of both modules as one ONNX model.

    Args:
        a: Module A in evaluation mode; of its networks only the mean is computed.
        b: Module B, likewise; AE-U with its log variance as a second channel.
        size: S.

    Returns:
        A serialised ModelProto: float32 input "images" (B, 1, S, S); outputs "a0" to "a{K-1}",
        each (B, 1, S, S), and "b0" to "b{K-1}", each (B, 1 or 2, S, S). B is free.
    """
    graph = _Graph("modules", size)
    for module, letter, only_mean in ((a, "a", True), (b, "b", False)):
        for k, network in enumerate(module.networks):
            name = f"{letter}{k}"
            channels = graph.add_network(name, cast("Network", network), only_mean=only_mean)
            graph.add_output(name, channels, size)
    return graph.serialised()


def ratio_to_onnx(networks: Sequence[RatioNetwork]) -> bytes:
    """Describe the networks of A_ratio as one ONNX model.

    Args:
        networks: In evaluation mode, all of the same size.

    Returns:
        A serialised ModelProto: float32 input "images" (B, 1, side, side), from
        ``RatioNetwork.seen``; output "evidence", the mean of all, on their grid. B is free.
    """
    side = networks[0].side
    assert all(len(n.body) == len(BLOCKS) for n in networks), "their grid is an eighth of the side"
    graph = _Graph("ratio", side)
    graph.add_ratio(EVIDENCE, networks)
    graph.add_output(EVIDENCE, 1, -(-side // 8))
    return graph.serialised()


class _Graph:
    """Writes networks into an ONNX graph with one input.

    Args:
        name: Of the graph.
        side: Of the images.
    """

    def __init__(self, name: str, side: int) -> None:
        from onnx import ModelProto, helper  # noqa: PLC0415

        self._model = ModelProto(ir_version=IR_VERSION, producer_name="ddad")
        self._model.opset_import.append(helper.make_opsetid("", OPSET))
        self._graph = self._model.graph
        self._graph.name = name
        self._graph.input.append(_pictures(INPUT, 1, side))

    def serialised(self) -> bytes:
        """The ModelProto."""
        return cast("bytes", self._model.SerializeToString())

    def add_output(self, name: str, channels: int, side: int) -> None:
        """Give a value away, (B, channels, side, side)."""
        self._graph.output.append(_pictures(name, channels, side))

    def add_network(self, name: str, network: Network, *, only_mean: bool) -> int:
        """Write one network from the images to the value ``name``; returns its channels."""
        folded = fold_network(network)
        value = self._sequence(f"{name}/encoder", folded.encoder, INPUT)
        value = self._node("Flatten", f"{name}/features", [value], axis=1)
        value = self._sequence(f"{name}/squeeze", folded.squeeze, value)
        if isinstance(folded, MemAE):
            slots = folded.memory.slots
            value = self._product(f"{name}/similarity", value, slots.T)
            value = self._node("Softmax", f"{name}/attention", [value], axis=1)
            value = self._product(f"{name}/latent", value, slots)
        value = self._sequence(f"{name}/expand", folded.expand, value)
        grid = self._constant(f"{name}/grid", np.array([-1, *folded.grid], dtype=np.int64))
        value = self._node("Reshape", f"{name}/unflattened", [value, grid])
        last = folded.decoder[-1]
        assert isinstance(last, nn.ConvTranspose2d) and last.bias is None, last
        if only_mean:
            last.weight = nn.Parameter(last.weight[:, :1], requires_grad=False)
        value = self._sequence(f"{name}/decoder", folded.decoder, value)
        self._node("Identity", name, [value])
        return int(last.weight.shape[1])

    def add_ratio(self, name: str, networks: Sequence[RatioNetwork]) -> None:
        """Write the mean evidence of A_ratio's networks, from what they see to ``name``."""
        found = []
        for k, network in enumerate(networks):
            folded = fold_ratio(network)
            value = self._convolution(f"{name}{k}/stem", folded.stem, INPUT, relu=True)
            for i, block in enumerate(folded.body):
                assert isinstance(block, Residual), block
                here = f"{name}{k}/body.{i}"
                beside = value
                if isinstance(block.shortcut, nn.Conv2d):
                    beside = self._convolution(f"{here}.shortcut", block.shortcut, value)
                value = self._convolution(f"{here}.first", block.first, value, relu=True)
                value = self._convolution(f"{here}.second", block.second, value)
                value = self._node("Add", f"{here}.sum", [value, beside])
                value = self._node("Relu", f"{here}.out", [value])
            value = self._convolution(f"{name}{k}/head", folded.head, value)
            if folded.usual is not None:
                usual = self._constant(f"{name}{k}/usual", folded.usual.cpu().numpy())
                value = self._node("Sub", f"{name}{k}/unusual", [value, usual])
            found.append(value)
        self._node("Mean", name, found)

    def _convolution(
        self,
        name: str,
        layer: nn.Conv2d | nn.ConvTranspose2d,
        value: str,
        *,
        relu: bool = False,
    ) -> str:
        kind = "ConvTranspose" if isinstance(layer, nn.ConvTranspose2d) else "Conv"
        assert not isinstance(layer.padding, str)
        value = self._node(
            kind,
            name,
            [value, *self._weights(name, layer)],
            kernel_shape=list(layer.kernel_size),
            strides=list(layer.stride),
            pads=list(layer.padding) * 2,
        )
        return self._node("Relu", f"{name}.relu", [value]) if relu else value

    def _sequence(self, name: str, layers: nn.Sequential, value: str) -> str:
        for i, layer in enumerate(layers):
            here = f"{name}.{i}"
            if isinstance(layer, nn.ReLU):
                value = self._node("Relu", here, [value])
            elif isinstance(layer, nn.Linear):
                value = self._node("Gemm", here, [value, *self._weights(here, layer)], transB=1)
            else:
                assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d), layer
                value = self._convolution(here, layer, value)
        return value

    def _weights(self, name: str, layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d) -> list[str]:
        tensors = {"weight": layer.weight, "bias": layer.bias}
        return [
            self._constant(f"{name}.{kind}", tensor.detach().cpu().numpy())
            for kind, tensor in tensors.items()
            if tensor is not None
        ]

    def _product(self, name: str, value: str, matrix: torch.Tensor) -> str:
        constant = self._constant(f"{name}.matrix", matrix.detach().cpu().numpy())
        return self._node("MatMul", name, [value, constant])

    def _constant(self, name: str, values: np.ndarray) -> str:
        from onnx import helper  # noqa: PLC0415

        tensor = self._graph.initializer.add()  # in place: the weights are 100 MB
        tensor.name = name
        tensor.data_type = helper.np_dtype_to_tensor_dtype(values.dtype)
        tensor.dims.extend(values.shape)
        tensor.raw_data = values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
        return name

    def _node(self, kind: str, output: str, inputs: list[str], **attributes: object) -> str:
        from onnx import helper  # noqa: PLC0415

        node = helper.make_node(kind, inputs, [output], name=output, **attributes)
        self._graph.node.append(node)
        return output


def _pictures(name: str, channels: int, side: int) -> onnx.ValueInfoProto:
    from onnx import TensorProto, helper  # noqa: PLC0415

    shape = ["batch", channels, side, side]
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
