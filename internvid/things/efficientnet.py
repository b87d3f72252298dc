"""EfficientNet-Lite0 (Tan and Le 2019; the Lite variant by Google, 2020): scores a picture for the classes of ImageNet.

The network is written here as it stands in the paper's table, with the weights of a file by torch, and runs on
onnxruntime: on one core 11 ms of the processor a picture, in torch 15 to 27. Lite has no squeeze-and-excitation and
ReLU6 in place of swish. Batch normalisation is folded into the convolutions before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from internvid.networks.onnx_graph import OnnxGraph

if TYPE_CHECKING:
    import onnxruntime

CLASSES = 1000
SIDE = 224  # pixels
_EPSILON = 1e-3  # of batch normalisation
# Stages of blocks: (blocks, kernel, stride of the first, expansion of channels, channels).
_STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)  # fmt: skip

Weights = Mapping[str, np.ndarray]


def session(weights: Weights) -> onnxruntime.InferenceSession:
    """Returns the network, ready to run: `pictures`, as `normalised` makes them, to `scores` [n, 1000] float32."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # threads that wait for each other take twice the processor on a busy machine
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(network(weights), options, providers=["CPUExecutionProvider"])


def normalised(pictures: np.ndarray) -> np.ndarray:
    """[n, 224, 224, 3] uint8 RGB to [n, 3, 224, 224] float32, as Google trained it."""
    return (pictures.transpose(0, 3, 1, 2).astype(np.float32) - 127) / 128


def network(weights: Weights) -> bytes:
    """Returns the network as a file of ONNX."""
    graph = OnnxGraph("pictures", ["n", 3, SIDE, SIDE])
    value = convolution(graph, weights, "pictures", "_conv_stem", "_bn0", stride=2)
    width, block = 32, 0
    for blocks, _, first_stride, expansion, channels in _STAGES:
        for number in range(blocks):
            name, before = f"_blocks.{block}", value
            stride = first_stride if number == 0 else 1
            if expansion > 1:
                value = convolution(graph, weights, value, f"{name}._expand_conv", f"{name}._bn0")
            value = convolution(graph, weights, value, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride)
            value = convolution(graph, weights, value, f"{name}._project_conv", f"{name}._bn2", is_linear=True)
            if stride == 1 and width == channels:
                value = graph.node("Add", [value, before])
            width, block = channels, block + 1
    value = convolution(graph, weights, value, "_conv_head", "_bn1")
    features = graph.node("Flatten", [graph.node("GlobalAveragePool", [value])], axis=1)
    matrix, bias = graph.weight(weights["_fc.weight"]), graph.weight(weights["_fc.bias"])
    graph.node("Gemm", [features, matrix, bias], "scores", transB=1)
    return graph.model(["scores"])


def convolution(
    graph: OnnxGraph,
    weights: Weights,
    value: str,
    name: str,
    norm: str,
    *,
    stride: int = 1,
    is_linear: bool = False,
    output: str = "",
) -> str:
    """Adds a convolution with its normalisation, and ReLU6 unless it is linear. name, norm: in the weights."""
    gamma, beta, mean, variance = (
        weights[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    kernel = weights[f"{name}.weight"]  # [channels, channels before or 1, side, side]
    scale = gamma / np.sqrt(variance + _EPSILON)
    around = kernel.shape[2] - stride if kernel.shape[2] > 1 else 0  # "same": the odd pixel at the right and below
    value = graph.node(
        "Conv",
        [value, graph.weight(kernel * scale[:, None, None, None]), graph.weight(beta - mean * scale)],
        output if is_linear else "",
        strides=[stride, stride],
        pads=[around // 2, around // 2, around - around // 2, around - around // 2],
        group=len(kernel) if "_depthwise_conv" in name else 1,
    )
    if is_linear:
        return value
    return graph.node("Clip", [value, graph.weight(np.array(0.0)), graph.weight(np.array(6.0))], output)
