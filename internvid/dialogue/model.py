"""The network that talks about videos: ViCLIP's space-time tokens, a projector, and a causal language model.

Shapes: b prompts, s tokens of a prompt, c clips of all prompts, l video tokens of a clip, w ViCLIP's width, k tokens of
a clip in a prompt, h the language model's width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from internvid.dialogue.prompt import CLIP_PLACE, Prompt
from internvid.dialogue.recipe import Projector
from internvid.viclip.model import VisionEncoder, patches_of

IGNORED = -100  # a target that the loss leaves out


class MlpProjector(nn.Module):
    """Averages video tokens over equal parts of time and place, and projects each average and the class token."""

    def __init__(self, sizes: Projector, vision_width: int, width: int) -> None:
        super().__init__()
        self.times, self.side = sizes.times, sizes.side
        self.norm = nn.LayerNorm(vision_width)
        self.layers = nn.Sequential(nn.Linear(vision_width, width), nn.GELU(), nn.Linear(width, width))

    @property
    def tokens_per_clip(self) -> int:
        return 1 + self.times * self.side**2

    def forward(self, tokens: Tensor, frames: int) -> Tensor:
        """tokens: [c, 1 + l, w] from `space_time_tokens`. Returns [c, k, h]: the class token first."""
        first, video = tokens[:, :1], tokens[:, 1:]
        side = round((video.shape[1] // frames) ** 0.5)
        grid = video.unflatten(1, (side, side, frames)).permute(0, 4, 3, 1, 2)  # [c, w, t, rows, columns]
        parts = functional.adaptive_avg_pool3d(grid, (self.times, self.side, self.side))
        return self.layers(self.norm(torch.cat([first, parts.flatten(2).transpose(1, 2)], dim=1)))


class QueryTransformer(nn.Module):
    """Learnt queries that attend to all tokens of a clip, and to each other."""

    def __init__(self, sizes: Projector, vision_width: int, width: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(sizes.queries, vision_width) * 0.02)
        self.norm = nn.LayerNorm(vision_width)
        block = nn.TransformerDecoderLayer(
            vision_width,
            sizes.heads,
            4 * vision_width,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.blocks = nn.TransformerDecoder(block, sizes.layers, norm=nn.LayerNorm(vision_width))
        self.out = nn.Linear(vision_width, width)

    @property
    def tokens_per_clip(self) -> int:
        return len(self.queries)

    def forward(self, tokens: Tensor, frames: int) -> Tensor:
        """tokens: [c, 1 + l, w] from `space_time_tokens`. Returns [c, k, h]."""
        return self.out(self.blocks(self.queries.expand(len(tokens), -1, -1), self.norm(tokens)))


PROJECTORS: dict[str, type[MlpProjector] | type[QueryTransformer]] = {"mlp": MlpProjector, "queries": QueryTransformer}


class VideoChat(nn.Module):
    """The three parts. language_model: a causal language model of `transformers`, or one with LoRA by `peft`."""

    def __init__(self, vision: VisionEncoder, projector: MlpProjector | QueryTransformer, language_model: Any) -> None:
        super().__init__()
        self.vision, self.projector, self.language_model = vision, projector, language_model

    @property
    def device(self) -> torch.device:
        return self.vision.class_embedding.device

    def space_time_tokens(self, video: Tensor) -> Tensor:
        """Returns [c, 1 + l, w]. video: [c, t, 3, size, size] float, normalised."""
        return self.vision.space_time_tokens(patches_of(video, self.vision.config.patch_size, None), video.shape[1])

    def embedded(self, token_ids: Tensor, is_clip: Tensor, clip_tokens: Tensor | None) -> Tensor:
        """Returns the language model's inputs, [b, s, h].

        is_clip: [b, s] bool, where the clips' tokens stand. clip_tokens: [c, k, h], in the order of the prompts.
        """
        embeddings = self.language_model.get_input_embeddings()(token_ids)
        if clip_tokens is None:
            return embeddings
        return embeddings.masked_scatter(is_clip[:, :, None], clip_tokens.to(embeddings.dtype))


@dataclass(frozen=True)
class PackedPrompts:
    """A batch of prompts in which the questions of a prompt share its clips and do not see each other.

    token_ids: [b, s] int64. is_clip: [b, s] bool. positions: [b, s] int64: each question begins after the clips.
    targets: [b, s] int64: the next token, where it belongs to an answer. turn: [b, s] int64: number of the question,
    0 for the clips, -1 for padding.
    """

    token_ids: Tensor
    is_clip: Tensor
    positions: Tensor
    targets: Tensor
    turn: Tensor

    def mask(self, dtype: torch.dtype) -> Tensor:
        """Returns the additive attention mask, [b, 1, s, s]: earlier tokens of the clips and of the own question."""
        own = self.turn[:, :, None] == self.turn[:, None, :]
        of_clips = self.turn[:, None, :] == 0
        order = torch.arange(self.turn.shape[1], device=self.turn.device)
        seen = (own | of_clips) & (order[None, :] <= order[:, None])
        return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill(~seen, torch.finfo(dtype).min)[
            :, None
        ]

    def to(self, device: torch.device) -> PackedPrompts:
        return PackedPrompts(*(part.to(device) for part in vars(self).values()))


def packed(prompts: Sequence[Prompt], tokens_per_clip: int, max_tokens: int) -> PackedPrompts:
    """Packs prompts with answers. Questions that exceed `max_tokens` are left out, from the first such one on.

    Raises ValueError for a prompt whose first question does not fit.
    """
    rows = [_row(prompt, tokens_per_clip, max_tokens) for prompt in prompts]
    length = max(len(row[0]) for row in rows)
    columns = []
    for values, padding in zip(zip(*rows, strict=True), (0, 0, 0, IGNORED, -1), strict=True):
        columns.append(torch.tensor([[*row, *[padding] * (length - len(row))] for row in values]))
    token_ids, is_clip, positions, targets, turn = columns
    return PackedPrompts(token_ids, is_clip.bool(), positions, targets, turn)


def _row(prompt: Prompt, tokens_per_clip: int, max_tokens: int) -> tuple[list[int], ...]:
    """Returns token ids, is_clip, positions, targets and turn of a prompt."""
    ids, is_clip = spread(prompt.shown, tokens_per_clip)
    positions, targets, turn = list(range(len(ids))), [IGNORED] * len(ids), [0] * len(ids)
    shown = len(ids)
    for number, (question, answer) in enumerate(zip(prompt.questions, prompt.answers, strict=True), 1):
        added = len(question) + len(answer) - 1  # the last token is only a target
        if len(ids) + added > max_tokens:
            if number == 1:
                raise ValueError(f"a prompt of {shown} tokens leaves no room for a question within {max_tokens}")
            break
        ids += [*question, *answer[:-1]]
        is_clip += [0] * added
        positions += range(shown, shown + added)
        targets += [IGNORED] * (len(question) - 1) + answer
        turn += [number] * added
    return ids, is_clip, positions, targets, turn


def spread(shown: Sequence[int], tokens_per_clip: int) -> tuple[list[int], list[int]]:
    """Returns the ids with as many zeros for each clip as it has tokens, and 1 for each of these."""
    ids: list[int] = []
    is_clip: list[int] = []
    for token in shown:
        of_clip = token == CLIP_PLACE
        ids += [0] * tokens_per_clip if of_clip else [token]
        is_clip += [1] * tokens_per_clip if of_clip else [0]
    return ids, is_clip


def answer_losses(model: VideoChat, batch: PackedPrompts, clip_tokens: Tensor | None) -> Tensor:
    """Returns the negative log-likelihood of each target, [b, s] float32; 0 where there is none."""
    inputs = model.embedded(batch.token_ids, batch.is_clip, clip_tokens)
    wanted = (batch.targets != IGNORED).any(0).nonzero()[:, 0]  # logits of a large vocabulary take much memory
    logits = model.language_model(
        inputs_embeds=inputs,
        attention_mask=batch.mask(inputs.dtype),
        position_ids=batch.positions,
        logits_to_keep=wanted,
        use_cache=False,
    ).logits
    losses = functional.cross_entropy(
        logits.float().transpose(1, 2), batch.targets[:, wanted], ignore_index=IGNORED, reduction="none"
    )
    return torch.zeros(batch.targets.shape, device=losses.device).index_copy(1, wanted, losses)
