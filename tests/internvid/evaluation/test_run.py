"""Evaluation end to end, with an encoder whose correct answers are known: it recognises colours and their names."""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from internvid.evaluation import run
from internvid.evaluation.benchmarks import Item, read_benchmark
from internvid.evaluation.decode import read_in_process
from internvid.evaluation.run import (
    Evaluation,
    Failed,
    NothingToEvaluate,
    classification_metrics,
    evaluate,
    retrieval_metrics,
)
from internvid.evaluation.stored_vectors import VectorFiles
from internvid.viclip.frame_choice import middle_frames

COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0)}


class ColourEncoder:
    """A video is its mean colour, a text the colours that it names; grey where there are none."""

    frames = 4
    prepares_texts = True

    def encode_videos(self, videos: Sequence[np.ndarray]) -> np.ndarray:
        assert {len(video) for video in videos} == {self.frames}
        return unit([video.mean((0, 1, 2)) > 128 for video in videos])

    def encode_texts(self, texts: Sequence[str], *, prepare: bool = True) -> np.ndarray:
        assert not prepare, "evaluation prepares texts itself"
        assert all(text == text.lower() and "," not in text for text in texts)
        words = [text.split() for text in texts]
        named = [[COLOURS[word] for word in text_words if word in COLOURS] or [(1, 1, 1)] for text_words in words]
        return unit([np.sum(colours, axis=0) for colours in named])


def unit(vectors) -> np.ndarray:
    array = np.array(vectors, np.float32)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> dict[str, Path]:
    """One of each colour."""
    folder = tmp_path_factory.mktemp("videos")
    return {colour: write_video(folder / f"{colour}.mp4", colour) for colour in COLOURS}


def write_video(path: Path, colour: str) -> Path:
    """Six frames of a pure colour, in one second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=6)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        picture = np.broadcast_to(255 * np.array(COLOURS[colour], np.uint8), (48, 64, 3)).copy()
        for _ in range(6):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def msrvtt(videos, tmp_path) -> Path:
    """One of its five videos is no video, another is missing."""
    lines = [f"ret{n},msr{n},video{n},A {colour.upper()} picture!" for n, colour in enumerate(COLOURS)]
    lines += ["ret4,msr4,video4,a broken one", "ret5,msr5,video5,one that is not there"]
    (tmp_path / "MSRVTT_JSFUSION_test.csv").write_text("key,vid_key,video_id,sentence\n" + "\n".join(lines) + "\n")
    for n, colour in enumerate(COLOURS):
        (tmp_path / f"video{n}.mp4").symlink_to(videos[colour])
    (tmp_path / "video4.mp4").write_text("an error page")
    return tmp_path


def values(evaluation: Evaluation) -> dict[str, float]:
    return {metric.name: metric.value for metric in evaluation.metrics}


def test_retrieval_that_knows_the_answers_finds_all_of_them_and_says_over_how_many(msrvtt):
    videos_read: list[int] = []
    evaluation = evaluate(
        ColourEncoder(), read_benchmark("msrvtt", msrvtt), read_in_process, on_videos=videos_read.append
    )
    assert (evaluation.named, evaluation.evaluated, evaluation.missing) == (6, 4, ("video5",))
    assert [failed.video for failed in evaluation.failed] == ["video4"]
    assert evaluation.failed[0].error.startswith("UnreadableVideo: this is a text file")
    assert evaluation.notes == ("2 of 6 videos are left out: with fewer to choose from, retrieval gets easier",)
    assert (evaluation.frames, evaluation.choice, sum(videos_read)) == (4, "middle", 5)
    metrics = values(evaluation)
    for direction in ("text_to_video", "video_to_text", "dual_softmax_text_to_video", "dual_softmax_video_to_text"):
        assert [metrics[f"{direction}_recall_at_{k}"] for k in (1, 5, 10)] == [100.0, 100.0, 100.0]
        assert (metrics[f"{direction}_median_rank"], metrics[f"{direction}_mean_rank"]) == (1.0, 1.0)
    assert len(metrics) == 20
    chances = {metric.name: metric.chance for metric in evaluation.metrics}
    assert chances["text_to_video_recall_at_1"] == chances["video_to_text_recall_at_1"] == pytest.approx(25.0)
    assert {metric.count for metric in evaluation.metrics} == {4}
    assert {metric.unit for metric in evaluation.metrics if metric.name.endswith("rank")} == {"rank"}


def test_wrong_answers_are_found_wrong(msrvtt):
    path = msrvtt / "MSRVTT_JSFUSION_test.csv"
    path.write_text(path.read_text().replace("RED", "GREY").replace("BLUE", "GREEN"))
    metrics = values(evaluate(ColourEncoder(), read_benchmark("msrvtt", msrvtt), read_in_process))
    # Grey is nearest to yellow; green is said of green and of blue; yellow is found.
    assert metrics["text_to_video_recall_at_1"] == 50.0
    assert metrics["video_to_text_recall_at_1"] == 25.0  # yellow's; green's own has an equal, which counts against it


@pytest.mark.parametrize("batch_size", [1, 3])
def test_vectors_stand_with_their_items_however_many_are_encoded_at_once(msrvtt, monkeypatch, batch_size):
    monkeypatch.setattr(run, "VIDEOS_PER_BATCH", batch_size)
    monkeypatch.setattr(run, "TEXTS_PER_BATCH", batch_size)
    assert (
        values(evaluate(ColourEncoder(), read_benchmark("msrvtt", msrvtt), read_in_process))[
            "text_to_video_recall_at_1"
        ]
        == 100.0
    )


def test_frames_are_read_as_the_encoder_sees_them_and_as_was_chosen(msrvtt):
    calls = []

    def read(items: Sequence[Item], count: int, choice: str):
        calls.append((count, choice))
        return read_in_process(items, count, choice)

    evaluate(ColourEncoder(), read_benchmark("msrvtt", msrvtt), read, choice="uniform")
    assert calls == [(4, "uniform")]
    assert middle_frames(6, 4) != [0, 1, 2, 3]  # so that the choice matters


def test_a_benchmark_of_which_nothing_can_be_read_is_an_error_with_its_reasons(msrvtt):
    for n in range(4):
        (msrvtt / f"video{n}.mp4").unlink()
    with pytest.raises(NothingToEvaluate, match=r"5 are not there, such as video0, 1 are unreadable.*video4: Unread"):
        evaluate(ColourEncoder(), read_benchmark("msrvtt", msrvtt), read_in_process)


@pytest.fixture
def kinetics(videos, tmp_path) -> Path:
    """Two clips of each colour to train on, one to validate with; the train split knows fewer classes."""

    def rows(colours: list[str], split: str) -> str:
        return "label,youtube_id,time_start,time_end,split\n" + "".join(
            f"painting {colour},{split}{n},0,1,{split}\n" for n, colour in enumerate(colours)
        )

    training = ["yellow", "blue", "green"] * 2
    (tmp_path / "train.csv").write_text(rows(training, "train"))
    (tmp_path / "val.csv").write_text(rows(list(COLOURS), "val"))
    for split, colours in (("train", training), ("val", list(COLOURS))):
        for n, colour in enumerate(colours):
            (tmp_path / f"{split}{n}.mp4").symlink_to(videos[colour])
    return tmp_path


def test_classes_are_recognised_by_their_prompts_and_a_probe_by_the_train_split(kinetics):
    evaluation = evaluate(
        ColourEncoder(),
        read_benchmark("kinetics400", kinetics),
        read_in_process,
        probe_train=read_benchmark("kinetics400", kinetics, split="train"),
        probes=["linear", "knn"],
    )
    metrics = values(evaluation)
    assert (metrics["top_1"], metrics["top_5"], metrics["top_mean"]) == (100.0, 100.0, 100.0)
    assert metrics["linear_probe_top_1"] == 75.0  # no red to train on
    assert metrics["knn_probe_top_1"] == 75.0
    assert [metric.chance for metric in evaluation.metrics[:2]] == [25.0, 100.0]
    assert evaluation.notes == (
        "val.csv names 4 classes, Kinetics-400 has 400",
        "probes: trained on 6 of 6 train videos",
        "linear probe: C = 1",
        "k-NN probe: the 6 nearest train videos",
    )


def test_stored_vectors_serve_further_probes_without_the_videos_until_something_changes(kinetics, tmp_path):
    test, train = (read_benchmark("kinetics400", kinetics, split=split) for split in ("val", "train"))
    (kinetics / "val3.mp4").unlink()
    (kinetics / "val3.mp4").write_text("an error page")
    files = VectorFiles(tmp_path / "vectors", lambda benchmark: "a key")

    def measured(read, **options) -> Evaluation:
        return evaluate(ColourEncoder(), test, read, vector_files=files, **options)

    def refused(items, count, choice):
        raise AssertionError("videos are decoded again")

    zero_shot = measured(read_in_process)
    assert measured(refused) == zero_shot
    assert [failed.video for failed in zero_shot.failed] == ["val3_000000_000001"]
    first = measured(read_in_process, probe_train=train, probes=["knn"])  # of the train split there were none
    both = measured(refused, probe_train=train, probes=["linear", "knn"])
    assert values(both).items() >= values(first).items() >= values(zero_shot).items()
    assert values(both)["linear_probe_top_1"] == pytest.approx(200 / 3)
    files = VectorFiles(tmp_path / "vectors", lambda benchmark: "another key")
    with pytest.raises(AssertionError, match="decoded again"):
        measured(refused)


def test_train_videos_that_fail_are_told_apart(kinetics):
    (kinetics / "train0.mp4").unlink()
    (kinetics / "train0.mp4").write_text("an error page")
    train = read_benchmark("kinetics400", kinetics, split="train")
    evaluation = evaluate(
        ColourEncoder(),
        read_benchmark("kinetics400", kinetics),
        read_in_process,
        probe_train=train,
        probes=["linear"],
    )
    assert [failed.video for failed in evaluation.failed] == ["train0_000000_000001"]
    assert isinstance(evaluation.failed[0], Failed)
    assert "probes: trained on 5 of 6 train videos" in evaluation.notes
    assert evaluation.evaluated == evaluation.named == 4


def test_metrics_of_vectors_count_texts_and_videos_apart():
    video = np.eye(4, dtype=np.float32)
    text = np.repeat(video, 3, axis=0)
    metrics = {m.name: m for m in retrieval_metrics("own", video, text, np.repeat(np.arange(4), 3))}
    assert (metrics["text_to_video_recall_at_1"].count, metrics["video_to_text_recall_at_1"].count) == (12, 4)
    assert metrics["video_to_text_recall_at_1"].value == 100.0
    assert metrics["video_to_text_recall_at_1"].chance == pytest.approx(25.0)  # 3 of 12
    accuracies = {m.name: m for m in classification_metrics("own", video, np.eye(4), np.array([0, 1, 2, 0]))}
    assert accuracies["top_1"].value == 75.0
    assert accuracies["top_mean"].chance == pytest.approx((25 + 100) / 2)
