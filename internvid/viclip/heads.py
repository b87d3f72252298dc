"""What fine-tuning puts on top of a ViCLIP: scores of classes, and whether a text says what a video shows.

Shapes: b rows, d width of the joint embedding, w widths of the towers, m tokens of a video that the match head reads,
s tokens of a text, h width of the match head.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.weights import load_into

HEADS = "heads.safetensors"  # beside the weights of a fine-tuned checkpoint
HeadType = TypeVar("HeadType", bound=nn.Module)
ABOUT = "about"  # in its header: what the heads are for, as JSON


class ClassHead(nn.Module):
    """Scores classes by a video's embedding. It begins as the zero-shot classifier: rows are vectors of class prompts.

    So fine-tuning starts from zero-shot recognition, and its weights can be averaged with those. scale: of the cosines,
    one over the model's temperature; it stays.
    """

    scale: Tensor

    def __init__(self, classes: int, embed_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(classes, embed_dim))
        self.bias = nn.Parameter(torch.zeros(classes))
        self.register_buffer("scale", torch.ones(()))

    @classmethod
    def zero_shot(cls, class_vectors: Tensor, temperature: float) -> ClassHead:
        """class_vectors: [classes, d], means of normalised prompt vectors. temperature: the model's."""
        head = cls(*class_vectors.shape)
        head.weight.data.copy_(class_vectors)
        head.scale.fill_(1 / temperature)
        return head

    def forward(self, video: Tensor) -> Tensor:
        """video: [b, d], of any length. Returns [b, classes] float32."""
        return (functional.normalize(video.float(), dim=1) @ self.weight.T + self.bias) * self.scale


@dataclass(frozen=True)
class MatchSizes:
    """Sizes of a match head. width is a multiple of heads."""

    width: int
    layers: int
    heads: int


class MatchHead(nn.Module):
    """Scores pairs of a video and a text by attention between their tokens: video-text matching.

    Of a video it reads means: of each place over the times, of each time over the places, and the class token. There
    are a few hundred for ViCLIP-L/14, so that those of a whole benchmark fit into memory.
    """

    def __init__(self, config: ViCLIPConfig, sizes: MatchSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.video = nn.Sequential(nn.LayerNorm(config.vision_width), nn.Linear(config.vision_width, sizes.width))
        self.text = nn.Sequential(nn.LayerNorm(config.text_width), nn.Linear(config.text_width, sizes.width))
        self.blocks = nn.ModuleList(MatchBlock(sizes.width, sizes.heads) for _ in range(sizes.layers))
        self.ln_final = nn.LayerNorm(sizes.width)
        self.score = nn.Linear(sizes.width, 1)

    def video_tokens(self, tokens: Tensor, frames: int) -> Tensor:
        """tokens: [b, 1 + l, w], of `VisionEncoder.space_time_tokens`. Returns [b, m, h]."""
        by_place_and_time = tokens[:, 1:].unflatten(1, (-1, frames))  # [b, n, t, w]: n-major, t-minor
        means = [tokens[:, :1], by_place_and_time.mean(2), by_place_and_time.mean(1)]
        return self.video(torch.cat(means, dim=1))

    def text_tokens(self, states: Tensor) -> Tensor:
        """states: [b, s, w], of `TextEncoder.states`. Returns [b, s, h]."""
        return self.text(states)

    def forward(self, video_tokens: Tensor, text_tokens: Tensor, token_ids: Tensor) -> Tensor:
        """Returns the score of each pair, [b] float32: above zero, the text says what the video shows.

        token_ids: [b, s]; tokens after the end token, which has the largest id, are not read.
        """
        ends = token_ids.argmax(dim=1)
        is_read = torch.arange(token_ids.shape[1], device=token_ids.device) <= ends[:, None]  # [b, s]
        x = text_tokens
        for block in self.blocks:
            x = block(x, video_tokens, is_read)
        x = x[torch.arange(len(x), device=x.device), ends]
        return self.score(self.ln_final(x)).squeeze(1).float()


class MatchBlock(nn.Module):
    """Tokens of a text attend to each other, then to the video's; an MLP follows. Pre-norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_self, self.ln_cross, self.ln_mlp = (nn.LayerNorm(width) for _ in range(3))
        self.attn_self, self.attn_cross = (CrossAttention(width, heads) for _ in range(2))
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, video: Tensor, is_read: Tensor) -> Tensor:
        own = self.ln_self(x)
        x = x + self.attn_self(own, own, is_read)
        x = x + self.attn_cross(self.ln_cross(x), video, None)
        return x + self.mlp(self.ln_mlp(x))


class CrossAttention(nn.Module):
    """Multi-head attention of one sequence to another."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor, y: Tensor, is_read: Tensor | None) -> Tensor:
        """x: [b, s, h]. y: [b, m, h]. is_read: [b, m] bool; None: all of y are."""
        q, k, v = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (self.q(x), self.k(y), self.v(y))
        )  # [b, heads, tokens, h / heads]
        mask = None if is_read is None else is_read[:, None, None]
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(y.transpose(1, 2).flatten(2))


@dataclass
class Heads:
    """The heads of a fine-tuned checkpoint.

    benchmark: what it was fine-tuned on. classes: in the order of the class head's scores. zero_shot: the class head as
    it began. A checkpoint for retrieval has a match head, one for recognition a class head.
    """

    benchmark: str
    classes: tuple[str, ...] = ()
    class_head: ClassHead | None = None
    zero_shot: ClassHead | None = None
    match_head: MatchHead | None = None

    def averaged(self, share: float) -> Heads:
        """Returns the heads with the class head's average with the zero-shot one. share: of the trained weights.

        Without the match head: there is nothing to average it with.
        """
        if self.class_head is None or self.zero_shot is None:
            return Heads(self.benchmark)
        begun, trained = self.zero_shot.state_dict(), self.class_head.state_dict()
        head = ClassHead(*self.class_head.weight.shape).to(self.class_head.weight.device)
        between = {name: torch.lerp(begun[name].to(value.device), value, share) for name, value in trained.items()}
        load_into(head, between)
        return Heads(self.benchmark, self.classes, head, self.zero_shot)


def save_heads(folder: Path, heads: Heads) -> None:
    """Writes the heads into a checkpoint's folder."""
    modules = {"class_head": heads.class_head, "zero_shot": heads.zero_shot, "match_head": heads.match_head}
    weights = {
        f"{part}.{name}": value.detach().cpu().contiguous()
        for part, module in modules.items()
        if module is not None
        for name, value in module.state_dict().items()
    }
    about = {
        "benchmark": heads.benchmark,
        "classes": list(heads.classes),
        "match": None if heads.match_head is None else asdict(heads.match_head.sizes),
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / HEADS, {"format": "pt", ABOUT: json.dumps(about)})


def load_heads(folder: Path, config: ViCLIPConfig, device: str | torch.device = "cpu") -> Heads | None:
    """Returns the heads in a checkpoint's folder; None where there are none. config: the checkpoint's sizes.

    Raises ValueError for a file that does not fit the sizes.
    """
    path = Path(folder) / HEADS
    if not path.exists():
        return None
    with safe_open(path, "pt") as opened:
        about = json.loads((opened.metadata() or {}).get(ABOUT, "null"))
    if not isinstance(about, dict):
        raise ValueError(f"{path} does not say what its heads are for")
    weights = load_file(path)

    def loaded(part: str, module: HeadType) -> HeadType:
        own = {name.removeprefix(f"{part}."): value for name, value in weights.items() if name.startswith(f"{part}.")}
        try:
            load_into(module, own)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        return module.to(device).eval()

    heads = Heads(about["benchmark"], tuple(about["classes"]))
    if heads.classes:
        sizes = (len(heads.classes), config.embed_dim)
        heads.class_head = loaded("class_head", ClassHead(*sizes))
        heads.zero_shot = loaded("zero_shot", ClassHead(*sizes))
    if about["match"] is not None:
        heads.match_head = loaded("match_head", MatchHead(config, MatchSizes(**about["match"])))
    return heads
