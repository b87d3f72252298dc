"""The metrics that the InternVid paper reports, for comparison. As printed: in percent where they are shares.

From arXiv 2307.06942 v2: table 3 (zero-shot action recognition: top-1, and AVG, the mean of top-1 and top-5, from
which top-5 is computed here), table 5 (zero-shot retrieval: R@1 text-to-video and video-to-text), tables 4 and 6 (both
after fine-tuning), table 7 (generated video; of the metrics only CLIPSIM is a share of one) and table 8 (dialogue: 0 to
5). The rows of ViCLIP-B are from the model's README.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

PAPER = "arXiv 2307.06942v2"
TABLE_3 = f"{PAPER}, table 3"
TABLE_4 = f"{PAPER}, table 4"
TABLE_5 = f"{PAPER}, table 5"
TABLE_6 = f"{PAPER}, table 6"
TABLE_7 = f"{PAPER}, table 7"
TABLE_8 = f"{PAPER}, table 8"
README = "README of ViCLIP, OpenGVLab/InternVideo"
PAPERS_BEST = "ViCLIP-L, InternVid-10M-FLT"
PAPERS_BEST_GENERATION = "text-to-video baseline, InternVid-Aes-18M"
PAPERS_BEST_CHAT = "VideoChat-ViCLIP"
VIDEO_CHATGPT = "video-chatgpt"
OF_HEADS = ("class_head_", "matched_")  # metrics that only a fine-tuned checkpoint has


@dataclass(frozen=True)
class Published:
    """A published metric. benchmark, metric: names as in `run`. model: includes its training data."""

    model: str
    benchmark: str
    metric: str
    value: float
    source: str


def generation_benchmark(name: str) -> str:
    """Returns the name under which generated videos are evaluated against a benchmark's videos, or other real ones."""
    return f"{name}-generation"


def published(benchmark: str) -> list[Published]:
    """Returns the published metrics of a benchmark in the order of the paper's table; empty if there are none."""
    return [figure for figure in _FIGURES if figure.benchmark == benchmark]


def published_beside(benchmark: str, metrics: Iterable[str]) -> list[Published]:
    """Returns the published metrics beside which a model's are set: of fine-tuned models where it is one."""
    is_fine_tuned = any(metric.startswith(OF_HEADS) for metric in metrics)
    return [figure for figure in (_FINE_TUNED if is_fine_tuned else _FIGURES) if figure.benchmark == benchmark]


_ACTIONS = ("kinetics400", "kinetics600", "kinetics700")
_RETRIEVAL = ("msrvtt", "lsmdc", "didemo", "msvd", "activitynet")

# Model -> (top-1, AVG) for each of _ACTIONS.
_TABLE_3: dict[str, tuple[tuple[float | None, float], ...]] = {
    "CLIP-L, OpenAI": ((58.42, 70.14), (55.11, 67.16), (46.12, 58.38)),
    "CLIP-L, DataComp-1B": ((56.14, 67.67), (54.15, 65.83), (45.36, 57.01)),
    "EVA-CLIP-L": ((None, 65.00), (None, 64.90), (None, 59.10)),
    "EVA-CLIP-E": ((None, 69.80), (None, 69.30), (None, 63.40)),
    "ViCLIP-L, WebVid10M": ((59.88, 71.03), (58.66, 69.84), (50.23, 61.86)),
    "ViCLIP-L, InternVid-10M": ((56.68, 68.17), (54.67, 66.28), (46.53, 58.73)),
    "ViCLIP-L, InternVid-50M": ((57.18, 68.93), (55.36, 67.07), (47.00, 59.36)),
    "ViCLIP-L, InternVid-200M": ((59.80, 71.09), (57.80, 69.34), (49.30, 61.25)),
    "ViCLIP-L, InternVid-10M-DIV": ((63.00, 74.15), (60.68, 72.07), (52.50, 64.59)),
    PAPERS_BEST: ((64.80, 75.70), (62.20, 73.53), (54.30, 66.38)),
}
_README: dict[str, tuple[tuple[float | None, float], ...]] = {
    "ViCLIP-B, InternVid-10M-FLT": ((58.52, 71.11), (55.37, 68.27), (47.09, 59.98)),
    "ViCLIP-B, InternVid-200M": ((56.58, 69.20), (53.57, 66.20), (45.82, 58.28)),
}
# Model -> (text-to-video, video-to-text) for each of _RETRIEVAL.
_TABLE_5: dict[str, tuple[tuple[float | None, float | None], ...]] = {
    "CLIP-L, OpenAI": ((29.0, 25.8), (13.9, 15.2), (11.5, 19.1), (37.9, 60.0), (8.3, 12.2)),
    "CLIP-L, DataComp-1B": ((30.4, 24.2), (13.9, 11.9), (12.7, 18.7), (40.5, 57.2), (9.1, 13.2)),
    "CLIP4Clip, HowTo100M": ((32.0, None), (15.1, None), (None, None), (38.5, None), (None, None)),
    "ViCLIP-L, WebVid10M": ((35.6, 33.1), (16.5, 13.4), (14.5, 23.3), (45.3, 69.0), (12.4, 19.0)),
    "ViCLIP-L, InternVid-10M": ((36.4, 37.1), (17.1, 15.0), (16.4, 25.9), (45.2, 69.8), (13.5, 23.4)),
    "ViCLIP-L, InternVid-50M": ((39.7, 40.7), (18.0, 16.7), (16.7, 26.4), (46.5, 72.2), (13.6, 23.2)),
    "ViCLIP-L, InternVid-200M": ((39.3, 39.5), (18.3, 16.6), (17.1, 25.5), (47.3, 70.0), (13.7, 21.6)),
    "ViCLIP-L, InternVid-10M-DIV": ((41.5, 41.6), (18.5, 17.4), (17.7, 26.2), (48.6, 71.9), (14.8, 23.4)),
    PAPERS_BEST: ((42.4, 41.3), (20.1, 16.9), (18.4, 27.9), (49.1, 75.1), (15.1, 24.0)),
}


# Fine-tuned. Model -> (top-1, top-5) for Kinetics-400 and Something-Something V2.
_TABLE_4: dict[str, tuple[tuple[float, float], ...]] = {
    "CLIP-L, OpenAI": ((86.7, 97.2), (70.1, 92.5)),
    "CLIP-L, DataComp-1B": ((85.6, 96.8), (68.9, 91.8)),
    "ViCLIP-L, WebVid10M": ((85.0, 96.8), (68.7, 91.9)),
    PAPERS_BEST: ((86.8, 97.5), (71.2, 93.2)),
    f"{PAPERS_BEST}, K710 first": ((88.0, 97.8), (71.8, 93.6)),
    "ViCLIP-L, InternVid-200M": ((87.9, 97.9), (73.6, 94.9)),
    "ViCLIP-L, InternVid-200M, K710 first": ((88.7, 98.2), (74.2, 95.0)),
}
# Fine-tuned. Model -> (text-to-video, video-to-text) for each of _RETRIEVAL.
_TABLE_6: dict[str, tuple[tuple[float | None, float | None], ...]] = {
    "CLIP-L, OpenAI": ((38.2, 38.7), (22.5, 22.6), (32.2, 33.9), (67.3, 69.9), (26.1, 26.9)),
    "CLIP-L, DataComp-1B": ((37.2, 37.5), (18.7, 18.5), (33.5, 34.2), (66.3, 70.2), (24.5, 25.8)),
    "CLIP4Clip, HowTo100M": ((45.6, 45.9), (24.3, 23.8), (43.0, 43.6), (45.2, 48.4), (40.3, 41.6)),
    "ViCLIP-L, WebVid10M": ((50.8, 49.3), (27.3, 28.4), (48.1, 48.5), (76.7, 81.2), (44.5, 43.2)),
    "ViCLIP-L, InternVid-10M": ((51.8, 49.7), (28.5, 29.4), (49.5, 50.6), (77.2, 80.0), (49.7, 48.4)),
    "ViCLIP-L, InternVid-50M": ((52.8, 52.2), (30.9, 30.9), (49.4, 48.7), (78.1, 80.0), (49.7, 49.0)),
    "ViCLIP-L, InternVid-200M": ((53.7, 53.4), (29.3, 31.3), (51.1, 50.8), (79.9, 78.4), (52.8, 51.1)),
    "ViCLIP-L, InternVid-10M-DIV": ((55.0, 53.3), (32.0, 30.0), (51.7, 52.1), (75.8, 77.8), (50.4, 48.9)),
    PAPERS_BEST: ((52.5, 51.8), (33.0, 32.5), (49.4, 50.2), (77.2, 79.0), (49.8, 48.1)),
}


def _action_figures(table: dict[str, tuple[tuple[float | None, float], ...]], source: str) -> list[Published]:
    figures = []
    for model, values_by_benchmark in table.items():
        for benchmark, (top_1, mean) in zip(_ACTIONS, values_by_benchmark, strict=True):
            if top_1 is not None:
                figures.append(Published(model, benchmark, "top_1", top_1, source))
                figures.append(Published(model, benchmark, "top_5", round(2 * mean - top_1, 2), source))
            figures.append(Published(model, benchmark, "top_mean", mean, source))
    return figures


def _fine_tuned_action_figures() -> list[Published]:
    return [
        Published(model, benchmark, f"class_head_{metric}", value, TABLE_4)
        for model, values_by_benchmark in _TABLE_4.items()
        for benchmark, values in zip(("kinetics400", "ssv2"), values_by_benchmark, strict=True)
        for metric, value in zip(("top_1", "top_5"), values, strict=True)
    ]


def _retrieval_figures(table: dict[str, tuple[tuple[float | None, float | None], ...]], source: str) -> list[Published]:
    return [
        Published(model, benchmark, f"{direction}_recall_at_1", value, source)
        for model, values_by_benchmark in table.items()
        for benchmark, values in zip(_RETRIEVAL, values_by_benchmark, strict=True)
        for direction, value in zip(("text_to_video", "video_to_text"), values, strict=True)
        if value is not None
    ]


# Model -> IS, FID and FVD on UCF-101, and CLIPSIM on MSR-VTT.
_TABLE_7 = {
    "VideoCrafter, WebVid": (18.26, 66.95, 910.87, 0.2875),
    "VideoFusion, WebVid": (17.49, 75.77, 639.90, 0.2795),
    "text-to-video baseline, WebVid": (13.97, 98.25, 705.25, 0.2657),
    PAPERS_BEST_GENERATION: (21.04, 60.25, 616.51, 0.2951),
}
_GENERATED = (("ucf101", "is"), ("ucf101", "fid"), ("ucf101", "fvd"), ("msrvtt", "clipsim"))
# Model -> correctness, detail, context, temporal, consistency, and their mean, by the Video-ChatGPT benchmark.
_TABLE_8 = {
    "VideoChat, EVA-g": (2.23, 2.5, 2.53, 1.94, 2.24, 2.29),
    "LLaMA Adapter": (2.03, 2.32, 2.3, 1.98, 2.15, 2.16),
    "Video LLaMA": (1.96, 2.18, 2.16, 1.82, 1.79, 1.98),
    "Video-ChatGPT": (2.4, 2.52, 2.62, 1.98, 2.37, 2.38),
    PAPERS_BEST_CHAT: (2.86, 2.52, 3.08, 2.36, 2.4, 2.64),
}
_TALKED = ("correctness", "detail", "context", "temporal", "consistency", "mean")

_OTHER_FIGURES = (
    *(
        Published(model, generation_benchmark(benchmark), metric, value, TABLE_7)
        for model, values in _TABLE_7.items()
        for (benchmark, metric), value in zip(_GENERATED, values, strict=True)
    ),
    *(
        Published(model, VIDEO_CHATGPT, metric, value, TABLE_8)
        for model, values in _TABLE_8.items()
        for metric, value in zip(_TALKED, values, strict=True)
    ),
)

_FIGURES = (
    *_action_figures(_TABLE_3, TABLE_3),
    *_action_figures(_README, README),
    *_retrieval_figures(_TABLE_5, TABLE_5),
    *_OTHER_FIGURES,
)
_FINE_TUNED = (*_fine_tuned_action_figures(), *_retrieval_figures(_TABLE_6, TABLE_6))
