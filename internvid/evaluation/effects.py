"""Measures what each setting of an evaluation changes: one at a time against a base protocol, in one table."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from internvid.evaluation.benchmarks import Benchmark
from internvid.evaluation.fine_tuned import TunedEncoder
from internvid.evaluation.protocol import Protocol
from internvid.evaluation.run import Evaluation, ReadFrames, VideoTextEncoder, evaluate
from internvid.evaluation.stored_vectors import VectorFiles
from internvid.viclip.encoder import Encoder
from internvid.viclip.weights import average, fit, load_into, with_text_positions

SHOWN = {
    "retrieval": ("text_to_video_recall_at_1", "video_to_text_recall_at_1"),
    "classification": ("top_1", "top_5"),
    "choice": ("top_1",),
    "labels": ("mean_average_precision",),
}
BASE, DUAL_SOFTMAX = "as given", "dual softmax"
WISE_FT_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the trained weights


@dataclass(frozen=True)
class Effect:
    """setting: what differs from the base, in words. values: the metrics of SHOWN, by name."""

    setting: str
    values: dict[str, float]


def effects(
    encoder: VideoTextEncoder,
    benchmark: Benchmark,
    read_frames: ReadFrames,
    protocol: Protocol,
    *,
    vectors_folder: Path,
    initial: Mapping[str, Tensor] | None = None,
    shares: Sequence[float] = WISE_FT_SHARES,
    on_videos: Callable[[int], object] = lambda number: None,
) -> list[Effect]:
    """Returns the base, then one row for each deviation of the protocol, the dual softmax, and the WiSE-FT sweep.

    encoder: as loaded, before the protocol is applied. vectors_folder: keeps vectors of videos, so none is made
    twice. initial: weights that the model was initialised from; None: no sweep. shares: of the sweep. Deviations that
    this model does not allow are left out. on_videos: as for `evaluate`. Raises as it does.
    """

    def measured(of: VideoTextEncoder, by: Protocol, weights: str = "as trained") -> Evaluation:
        # Only what changes the vectors of videos is in the key: they are not made twice.
        frames = f"{by.choice} {by.fit} {by.resampling} {by.constants} {weights}"
        files = VectorFiles(vectors_folder, lambda _: frames.replace(" ", "-"))
        return evaluate(
            by.applied_to(of),
            benchmark,
            read_frames,
            choice=by.choice,
            counts_missing=by.counts_missing,
            vector_files=files,
            on_videos=on_videos,
        )

    base = measured(encoder, protocol)
    rows = [Effect(BASE, _shown(base))]
    for setting, deviation in protocol.deviations():
        try:
            deviation.applied_to(encoder)
        except ValueError:
            continue
        rows.append(Effect(setting, _shown(measured(encoder, deviation))))
    if benchmark.task == "retrieval":
        rows.append(Effect(DUAL_SOFTMAX, _shown(base, prefix="dual_softmax_")))
    for share in shares if initial is not None else ():
        assert initial is not None
        rows.append(
            Effect(
                f"WiSE-FT: {share:g} of the trained weights",
                _shown(measured(averaged(encoder, initial, share), protocol, f"share {share:g}")),
            )
        )
    return rows


def averaged(encoder: Any, initial: Mapping[str, Tensor], share: float) -> Any:
    """Returns the encoder with the average of its weights and the initial ones.

    The initial ones may have other numbers of frames and text positions. With 0 it is a model of the initial weights,
    with 1 the given one; but where the initial embedding of time is zeros, as after CLIP, it is always the trained one.
    A class head is averaged with the zero-shot classifier that it began as; a match head is left out.
    Raises ValueError as `average` does, and for a model that is no ViCLIP.
    """
    if not isinstance(encoder, Encoder):
        raise ValueError("only the weights of a ViCLIP are averaged with those that it began as")
    changed = copy.copy(encoder)
    changed.model = copy.deepcopy(encoder.model)
    config = encoder.model.config
    begun = fit(with_text_positions(initial, config.context_length), config)
    on_device = {name: value.to(encoder.device) for name, value in begun.items()}
    load_into(changed.model, average(encoder.model.state_dict(), on_device, share=share))
    if isinstance(changed, TunedEncoder):
        changed.heads = changed.heads.averaged(share)
    return changed


def sweep_metrics(task: str, names: Iterable[str]) -> list[str]:
    """Returns the metrics of a sweep that are shown: those of SHOWN, and the class head's, where it has one."""
    head = [f"class_head_{name}" for name in SHOWN[task]] if task == "classification" else []
    present = set(names)
    return [name for name in (*SHOWN[task], *head) if name in present]


def _shown(evaluation: Evaluation, prefix: str = "") -> dict[str, float]:
    values = {metric.name: metric.value for metric in evaluation.metrics}
    return {name: values[prefix + name] for name in SHOWN[evaluation.task]}
