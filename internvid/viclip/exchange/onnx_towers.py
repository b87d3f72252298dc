"""The towers of a checkpoint as ONNX graphs, which ONNX Runtime runs without torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from internvid.networks.onnx_graph import OnnxGraph
from internvid.viclip.checkpoint import Checkpoint
from internvid.viclip.config import Activation
from internvid.viclip.exchange.towers import OUTPUT, TEXT_INPUT, VIDEO_INPUT
from internvid.viclip.model import QUICK_GELU

NORM_EPSILON = 1e-5  # of torch's layer norm

# Shapes as in `internvid.viclip.model`: b clips or texts, l tokens, w width of the tower.


def video_graph(checkpoint: Checkpoint) -> OnnxGraph:
    """Returns the graph of `towers.VideoTower`, for clips of as many frames as the temporal embedding is long."""
    config, weights = checkpoint.model.config, _weights(checkpoint, "vision_encoder.")
    frames, side, p = config.frames, config.image_size, config.patch_size
    rows, tokens, width = side // p, config.patches_per_frame * frames, config.vision_width
    tower = _Tower(OnnxGraph(VIDEO_INPUT, ("clips", frames, 3, side, side), "uint8"), weights, config.activation)
    graph = tower.graph

    mean, std = (np.array(values)[:, None, None] * 255 for values in _constants(checkpoint))
    pixels = graph.node("Cast", [VIDEO_INPUT], to=1)
    pixels = graph.node("Div", [graph.node("Sub", [pixels, graph.weight(mean)]), graph.weight(std)])
    cells = graph.node("Reshape", [pixels, tower.shape(-1, frames, 3, rows, p, rows, p)])
    cells = graph.node("Transpose", [cells], perm=(0, 3, 5, 1, 2, 4, 6))  # [b, rows, columns, t, 3, p, p]
    patches = graph.node("Reshape", [cells, tower.shape(-1, tokens, 3 * p * p)])
    x = graph.node("MatMul", [patches, graph.weight(weights["conv1.weight"].reshape(width, -1).T)])
    times = weights["temporal_positional_embedding"]  # [1, t, w]
    positions = (weights["positional_embedding"][1:, None] + times).reshape(tokens, width)
    x = graph.node("Add", [x, graph.weight(positions)])
    first = graph.weight((weights["class_embedding"] + weights["positional_embedding"][0])[None, None])
    clips = graph.node("Shape", [x], start=0, end=1)
    each = graph.node("Expand", [first, graph.node("Concat", [clips, tower.shape(1, width)], axis=0)])
    x = tower.norm(graph.node("Concat", [each, x], axis=1), "ln_pre")  # [b, 1 + l, w]
    x = tower.blocks(x, config.vision_layers, config.vision_heads, tokens=1 + tokens, is_causal=False)
    x = graph.node("Gather", [x, graph.constant("first token", np.int64(0))], axis=1)  # [b, w]
    tower.project(tower.norm(x, "ln_post"), "proj")
    return graph


def text_graph(checkpoint: Checkpoint) -> OnnxGraph:
    """Returns the graph of `towers.TextTower`, for texts that are padded to the context length."""
    config, weights = checkpoint.model.config, _weights(checkpoint, "text_encoder.")
    tokens = config.context_length
    tower = _Tower(OnnxGraph(TEXT_INPUT, ("texts", tokens), "int64"), weights, config.activation)
    graph = tower.graph
    x = graph.node("Gather", [graph.weight(weights["token_embedding.weight"]), TEXT_INPUT], axis=0)
    x = graph.node("Add", [x, graph.weight(weights["positional_embedding"])])  # [b, l, w]
    x = tower.blocks(x, config.text_layers, config.text_heads, tokens=tokens, is_causal=True)
    ends = graph.node("ArgMax", [TEXT_INPUT], axis=1, keepdims=1)  # the end token has the largest id
    x = graph.node("GatherND", [x, ends], batch_dims=1)  # [b, w]
    tower.project(tower.norm(x, "ln_final"), "text_projection")
    return graph


class _Tower:
    """A graph to which the parts of a transformer are added. weights: of the tower, by name."""

    def __init__(self, graph: OnnxGraph, weights: Mapping[str, np.ndarray], activation: Activation) -> None:
        self.graph, self.weights, self.activation = graph, weights, activation

    def shape(self, *sizes: int) -> str:
        return self.graph.constant(f"shape {sizes}", np.array(sizes, np.int64))

    def norm(self, x: str, name: str) -> str:
        scale, bias = (self.graph.weight(self.weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return self.graph.node("LayerNormalization", [x, scale, bias], axis=-1, epsilon=NORM_EPSILON)

    def linear(self, x: str, weight: str, bias: str) -> str:
        product = self.graph.node("MatMul", [x, self.graph.weight(self.weights[weight].T)])
        return self.graph.node("Add", [product, self.graph.weight(self.weights[bias])])

    def project(self, x: str, name: str) -> None:
        """Adds the projection into the joint space, at length one, as the graph's result."""
        projected = self.graph.node("MatMul", [x, self.graph.weight(self.weights[name])])
        self.graph.node("LpNormalization", [projected], OUTPUT, axis=-1, p=2)

    def blocks(self, x: str, layers: int, heads: int, *, tokens: int, is_causal: bool) -> str:
        for layer in range(layers):
            name = f"transformer.resblocks.{layer}"
            change = self.attention(self.norm(x, f"{name}.ln_1"), f"{name}.attn", heads, tokens, is_causal)
            x = self.graph.node("Add", [x, change])
            x = self.graph.node("Add", [x, self.mlp(self.norm(x, f"{name}.ln_2"), f"{name}.mlp")])
        return x

    def attention(self, x: str, name: str, heads: int, tokens: int, is_causal: bool) -> str:
        graph = self.graph
        width = self.weights[f"{name}.out_proj.weight"].shape[0]
        x = self.linear(x, f"{name}.in_proj_weight", f"{name}.in_proj_bias")  # [b, l, 3w]
        x = graph.node("Reshape", [x, self.shape(-1, tokens, 3, heads, width // heads)])
        x = graph.node("Transpose", [x], perm=(2, 0, 3, 1, 4))  # [3, b, heads, l, w / heads]
        numbers = (graph.constant(f"number {number}", np.int64(number)) for number in range(3))
        q, k, v = (graph.node("Gather", [x, number], axis=0) for number in numbers)
        scale = graph.weight(np.array((width // heads) ** -0.5))
        scores = graph.node(
            "MatMul", [graph.node("Mul", [q, scale]), graph.node("Transpose", [k], perm=(0, 1, 3, 2))]
        )  # [b, heads, l, l]
        if is_causal:
            later = np.triu(np.full((tokens, tokens), -np.inf, np.float32), 1)
            scores = graph.node("Add", [scores, graph.constant("later tokens", later)])
        x = graph.node("MatMul", [graph.node("Softmax", [scores], axis=-1), v])
        x = graph.node("Reshape", [graph.node("Transpose", [x], perm=(0, 2, 1, 3)), self.shape(-1, tokens, width)])
        return self.linear(x, f"{name}.out_proj.weight", f"{name}.out_proj.bias")

    def mlp(self, x: str, name: str) -> str:
        graph = self.graph
        x = self.linear(x, f"{name}.c_fc.weight", f"{name}.c_fc.bias")
        if self.activation == "gelu":
            over_root = graph.node("Mul", [x, graph.constant("one over the root of 2", np.float32(0.5**0.5))])
            risen = graph.node("Add", [graph.node("Erf", [over_root]), graph.constant("one", np.float32(1))])
            gate = graph.node("Mul", [risen, graph.constant("half", np.float32(0.5))])
            return self.linear(graph.node("Mul", [x, gate]), f"{name}.c_proj.weight", f"{name}.c_proj.bias")
        gate = graph.node("Sigmoid", [graph.node("Mul", [x, graph.constant("gelu", np.float32(QUICK_GELU))])])
        return self.linear(graph.node("Mul", [x, gate]), f"{name}.c_proj.weight", f"{name}.c_proj.bias")


def _weights(checkpoint: Checkpoint, prefix: str) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(prefix): value.detach().float().cpu().numpy()
        for name, value in checkpoint.model.state_dict().items()
        if name.startswith(prefix)
    }


def _constants(checkpoint: Checkpoint) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    return checkpoint.preprocessing.mean, checkpoint.preprocessing.std
