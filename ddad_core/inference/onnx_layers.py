"""Folded networks as one small ONNX graph, made layer by layer in milliseconds.

For engines that load it at once. Torch's own exporter traces for many seconds, which a program
that starts cannot wait for; ``ddad_core.export`` uses it for the files given to others. Whether
the graph says what the modules say is checked on every load (``choice.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import nn

from ddad_core.ensemble import Ensemble
from ddad_core.inference.folding import fold_network
from ddad_core.networks.build import Network
from ddad_core.networks.memae import MemAE

if TYPE_CHECKING:
    import onnx

OPSET = 17
IR_VERSION = 8  # of ONNX 1.12: any run-time library of the last years reads it
INPUT = "images"


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
    from onnx import ModelProto, TensorProto, helper  # noqa: PLC0415

    model = ModelProto(ir_version=IR_VERSION, producer_name="ddad")
    model.opset_import.append(helper.make_opsetid("", OPSET))
    images = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", 1, size, size])
    model.graph.input.append(images)
    model.graph.name = "modules"
    graph = _Graph(model.graph)
    for module, letter, only_mean in ((a, "a", True), (b, "b", False)):
        for k, network in enumerate(module.networks):
            name = f"{letter}{k}"
            channels = graph.add_network(name, cast("Network", network), only_mean=only_mean)
            shape = ["batch", channels, size, size]
            out = helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            model.graph.output.append(out)
    return cast("bytes", model.SerializeToString())


class _Graph:
    """Writes networks into an ONNX graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph

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

    def _sequence(self, name: str, layers: nn.Sequential, value: str) -> str:
        for i, layer in enumerate(layers):
            here = f"{name}.{i}"
            if isinstance(layer, nn.ReLU):
                value = self._node("Relu", here, [value])
            elif isinstance(layer, nn.Linear):
                value = self._node("Gemm", here, [value, *self._weights(here, layer)], transB=1)
            else:
                assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d), layer
                kind = "ConvTranspose" if isinstance(layer, nn.ConvTranspose2d) else "Conv"
                assert not isinstance(layer.padding, str)
                value = self._node(
                    kind,
                    here,
                    [value, *self._weights(here, layer)],
                    kernel_shape=list(layer.kernel_size),
                    strides=list(layer.stride),
                    pads=list(layer.padding) * 2,
                )
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
