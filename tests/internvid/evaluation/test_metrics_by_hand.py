"""Each benchmark of rendered videos in its released form: metrics equal an independent computation.

The independent computation decodes with the test's own loop and ranks with plain Python, with ties, several captions of
a video and missing videos among the data.
"""

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from internvid.evaluation.benchmarks import read_benchmark
from internvid.evaluation.decode import read_in_process
from internvid.evaluation.run import evaluate

VIDEOS = 5


class SketchEncoder:
    """A video is the means of nine cells of its frames, a text the counts of its letters; both are unit vectors."""

    frames = 3
    prepares_texts = True

    def encode_videos(self, videos: Sequence[np.ndarray]) -> np.ndarray:
        rows = []
        for video in videos:
            cells = [part for row in np.array_split(video, 3, axis=1) for part in np.array_split(row, 3, axis=2)]
            rows.append(unit([cell.mean() - 100 for cell in cells]))
        return np.array(rows, np.float32)

    def encode_texts(self, texts: Sequence[str], *, prepare: bool = True) -> np.ndarray:
        assert not prepare, "evaluation prepares texts itself"
        return np.array([unit([text.count(letter) - 0.5 for letter in "aeiorstnl"]) for text in texts], np.float32)


def unit(values: Sequence[float]) -> np.ndarray:
    array = np.asarray(values, np.float64)
    return (array / np.linalg.norm(array)).astype(np.float32)


def vector_of_file(path: Path) -> np.ndarray:
    """By an own loop over all frames of the file: the middles of three equal parts."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    bounds = [part * len(frames) // 3 for part in range(4)]
    chosen = [frames[(first + following - 1) // 2] for first, following in pairwise(bounds)]
    return SketchEncoder().encode_videos([np.stack(chosen)])[0]


def vector_of_text(text: str) -> np.ndarray:
    kept = "".join(" " if letter in "-/" else letter for letter in text.lower() if letter not in ",.'!?\"()*#:;~")
    return SketchEncoder().encode_texts([" ".join(kept.split())], prepare=False)[0]


def cosine(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.float32(sum(float(a) * float(b) for a, b in zip(left, right, strict=True))))


def recalls(videos: list[np.ndarray], captions: list[list[str]]) -> dict[str, float]:
    """Plain loops: ties count as wrong, any of a video's captions counts, and its others are no rivals."""
    texts = [(owner, vector_of_text(text)) for owner, each in enumerate(captions) for text in each]
    to_video = []
    for owner, text in texts:
        own = cosine(videos[owner], text)
        to_video.append(1 + sum(cosine(video, text) >= own for n, video in enumerate(videos) if n != owner))
    to_text = []
    for number, video in enumerate(videos):
        best = max(cosine(video, text) for owner, text in texts if owner == number)
        to_text.append(1 + sum(cosine(video, text) >= best for owner, text in texts if owner != number))
    return {
        f"{name}_recall_at_{k}": 100 * sum(rank <= k for rank in ranks) / len(ranks)
        for name, ranks in (("text_to_video", to_video), ("video_to_text", to_text))
        for k in (1, 5, 10)
    }


def measured(name: str, folder: Path) -> tuple[dict[str, float], int, int]:
    evaluation = evaluate(SketchEncoder(), read_benchmark(name, folder), read_in_process)
    return {metric.name: metric.value for metric in evaluation.metrics}, evaluation.evaluated, evaluation.named


@pytest.fixture(scope="module")
def rendered(tmp_path_factory, synthetic_video) -> list[Path]:
    """Five videos, of which the last is a copy of the first: both have one vector."""
    folder = tmp_path_factory.mktemp("rendered")
    paths = [synthetic_video(folder, f"{number}.mp4", number) for number in range(VIDEOS - 1)]
    (folder / "copy.mp4").write_bytes(paths[0].read_bytes())
    return [*paths, folder / "copy.mp4"]


CAPTIONS = [["A dog: it runs!", "rain"], ["noise"], ["a red circle", "a circle, red", "roses"], ["rain"], ["stones"]]


def vatex(folder: Path) -> list[str]:
    names = [f"video-{number}_000010_000020" for number in range(VIDEOS + 1)]
    entries = [{"videoID": name, "enCap": texts} for name, texts in zip(names, [*CAPTIONS, ["gone"]], strict=True)]
    (folder / "vatex_public_test_english_v1.1.json").write_text(json.dumps(entries))
    return names


def youcook2(folder: Path) -> list[str]:
    """A segment has one sentence: the first caption of each video."""
    database = {
        f"video-{number}": {
            "subset": "validation",
            "annotations": [{"id": 0, "segment": [0, 5], "sentence": texts[0]}],
        }
        for number, texts in enumerate([*CAPTIONS, ["gone"]])
    }
    (folder / "youcookii_annotations_trainval.json").write_text(json.dumps({"database": database}))
    return [f"video-{number}_0" for number in range(VIDEOS + 1)]


ALL_CAPTIONS = [*CAPTIONS, ["gone"]]  # the sixth video is missing
NAMES = [f"video{number}" for number in range(VIDEOS + 1)]


def msrvtt(folder: Path) -> list[str]:
    lines = [
        f'ret{n},msr{n},{name},"{texts[0]}"' for n, (name, texts) in enumerate(zip(NAMES, ALL_CAPTIONS, strict=True))
    ]
    (folder / "MSRVTT_JSFUSION_test.csv").write_text("\n".join(["key,vid_key,video_id,sentence", *lines]))
    return NAMES


def msrvtt_full(folder: Path) -> list[str]:
    sentences = [
        {"video_id": name, "caption": text} for name, texts in zip(NAMES, ALL_CAPTIONS, strict=True) for text in texts
    ]
    videos = [{"video_id": name, "split": "test"} for name in NAMES]
    (folder / "test_videodatainfo.json").write_text(json.dumps({"videos": videos, "sentences": sentences}))
    return NAMES


def lsmdc(folder: Path) -> list[str]:
    rows = ["\t".join([name, *"1234", texts[0]]) for name, texts in zip(NAMES, ALL_CAPTIONS, strict=True)]
    (folder / "LSMDC16_challenge_1000_publictect.csv").write_text("\n".join(rows))
    return NAMES


def didemo(folder: Path) -> list[str]:
    entries = [
        {"video": f"{name}.avi", "description": text, "times": [[0, 0]]}
        for name, texts in zip(NAMES, ALL_CAPTIONS, strict=True)
        for text in texts
    ]
    (folder / "test_data.json").write_text(json.dumps(entries))
    return NAMES


def msvd(folder: Path) -> list[str]:
    lines = [f"{name} {text}" for name, texts in zip(NAMES, ALL_CAPTIONS, strict=True) for text in texts]
    (folder / "AllVideoDescriptions.txt").write_text("\n".join(["# of MSVD", *lines]))
    (folder / "test_list.txt").write_text("\n".join(NAMES))
    return NAMES


def activitynet(folder: Path) -> list[str]:
    content = {
        f"v_{name}": {"duration": 9, "timestamps": [[0, 1]] * len(texts), "sentences": texts}
        for name, texts in zip(NAMES, ALL_CAPTIONS, strict=True)
    }
    (folder / "val_1.json").write_text(json.dumps(content))
    return NAMES


# How the benchmark uses several captions of a video: the first alone, each as a query of its own, or as a paragraph.
FIRST, EACH, PARAGRAPH = (
    [texts[:1] for texts in CAPTIONS],
    CAPTIONS,
    [[" ".join(texts)] for texts in CAPTIONS],
)


@pytest.mark.parametrize(
    ("name", "write", "captions"),
    [
        ("vatex", vatex, EACH),
        ("youcook2", youcook2, FIRST),
        ("msrvtt", msrvtt, FIRST),
        ("msrvtt-full", msrvtt_full, EACH),
        ("lsmdc", lsmdc, FIRST),
        ("didemo", didemo, PARAGRAPH),
        ("msvd", msvd, EACH),
        ("activitynet", activitynet, PARAGRAPH),
    ],
)
def test_retrieval_equals_plain_loops(
    rendered, tmp_path, name: str, write: Callable[[Path], list[str]], captions: list[list[str]]
):
    for video, path in zip(write(tmp_path), rendered, strict=False):
        (tmp_path / f"{video}.mp4").symlink_to(path)
    metrics, evaluated, named = measured(name, tmp_path)
    expected = recalls([vector_of_file(path) for path in rendered], captions)
    assert {metric: metrics[metric] for metric in expected} == pytest.approx(expected)
    assert (evaluated, named) == (VIDEOS, VIDEOS + 1)
    assert 0 < expected["text_to_video_recall_at_5"] <= 100
    assert expected["text_to_video_recall_at_1"] < 100  # the copies tie


@pytest.mark.parametrize("name", ["msrvtt-mc", "ssv2-mc"])
def test_multiple_choice_equals_plain_loops(rendered, tmp_path, name):
    choices = [["rain", "noise"], ["noise", "stones", "roses"], ["a", "a"], ["red", "aero", "rain"], ["stones", "rain"]]
    answers = [1, 0, 0, 2, 1]
    entries = [
        {"video": f"{number}.mp4", "caption": texts, "answer": answer}
        for number, (texts, answer) in enumerate(zip(choices, answers, strict=True))
    ]
    entries.append({"video": "gone.mp4", "caption": ["a", "b"], "answer": 0})
    file = "msrvtt_mc_test.json" if name == "msrvtt-mc" else "ssv2_mc_val.json"
    (tmp_path / file).write_text(json.dumps(entries))
    for number, path in enumerate(rendered):
        (tmp_path / f"{number}.mp4").symlink_to(path)
    metrics, evaluated, named = measured(name, tmp_path)
    right = 0
    for path, texts, answer in zip(rendered, choices, answers, strict=True):
        scores = [cosine(vector_of_file(path), vector_of_text(text)) for text in texts]
        right += all(score < scores[answer] for n, score in enumerate(scores) if n != answer)
    assert metrics == {"top_1": pytest.approx(100 * right / VIDEOS)}
    assert 0 < right < VIDEOS
    assert (evaluated, named) == (VIDEOS, VIDEOS + 1)


def hmdb51(folder: Path, labels: list[str]) -> list[str]:
    for label in sorted(set(labels)):
        lines = [f"{number}.avi 2 " for number, each in enumerate(labels) if each == label] + ["unused.avi 0 "]
        (folder / f"{label.replace(' ', '_')}_test_split1.txt").write_text("\n".join(lines))
    return [f"{number}.avi" for number in range(VIDEOS)]


def ssv2(folder: Path, labels: list[str]) -> list[str]:
    classes = {label: str(number) for number, label in enumerate(sorted(set(labels)))}
    (folder / "something-something-v2-labels.json").write_text(json.dumps(classes))
    entries = [{"id": str(number), "template": f"[{label}]"} for number, label in enumerate(labels)]
    (folder / "something-something-v2-validation.json").write_text(json.dumps(entries))
    return [str(number) for number in range(VIDEOS)]


def ucf101(folder: Path, labels: list[str]) -> list[str]:
    classes = {label: label.title().replace(" ", "") for label in sorted(set(labels))}
    index = [f"{number} {name}" for number, name in enumerate(classes.values(), start=1)]
    (folder / "classInd.txt").write_text("\n".join(index))
    lines = [f"{classes[label]}/{number}.avi" for number, label in enumerate(labels)]
    (folder / "testlist01.txt").write_text("\n".join(lines))
    return [f"{number}.avi" for number in range(VIDEOS)]


def kinetics(folder: Path, labels: list[str]) -> list[str]:
    rows = [f"{label},{number},0,9,val" for number, label in enumerate(labels)]
    (folder / "val.csv").write_text("\n".join(["label,youtube_id,time_start,time_end,split", *rows]))
    return [f"{number}_000000_000009" for number in range(VIDEOS)]


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("hmdb51", hmdb51),
        ("ssv2", ssv2),
        ("ucf101", ucf101),
        *((f"kinetics{classes}", kinetics) for classes in (400, 600, 700)),
    ],
)
def test_recognition_equals_plain_loops(rendered, tmp_path, name, write: Callable[[Path, list[str]], list[str]]):
    from internvid.evaluation.classification import TEMPLATES

    labels = ["brush hair", "turn", "run", "brush hair", "sit", "stand still", "laugh", "gone"]
    for video, path in zip(write(tmp_path, labels), rendered, strict=True):
        (tmp_path / f"{video}.mp4").symlink_to(path)
    metrics, evaluated, named = measured(name, tmp_path)
    classes = sorted(set(labels))
    hits = {1: 0, 5: 0}
    for path, label in zip(rendered, labels, strict=False):
        video = vector_of_file(path)
        scores = {}
        for each in classes:
            prompts = [vector_of_text(template.format(each)) for template in TEMPLATES]
            mean = np.mean([prompt.astype(np.float64) for prompt in prompts], axis=0)
            scores[each] = np.float32(video.astype(np.float64) @ mean)
        rank = sum(score >= scores[label] for score in scores.values())
        hits = {k: hit + (rank <= k) for k, hit in hits.items()}
    assert metrics["top_1"] == pytest.approx(100 * hits[1] / VIDEOS)
    assert metrics["top_5"] == pytest.approx(100 * hits[5] / VIDEOS)
    assert 0 < hits[5] <= VIDEOS
    assert (evaluated, named) == (VIDEOS, len(labels))
