"""Metrics by the heads of fine-tuned checkpoints, and probes: each on made vectors whose answers are known."""

import os
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from internvid.evaluation.attentive_probe import attentive_probe
from internvid.evaluation.fine_tuned import MatchTokens, head_accuracy, reranked
from internvid.evaluation.retrieval import retrieval_ranks
from internvid.evaluation.stored_vectors import VectorFiles
from internvid.viclip.heads import ClassHead, Heads


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


class KnowingEncoder:
    """Its match head gives pairs that belong together a score of `right`, and all others 0."""

    def __init__(self, right: float) -> None:
        self.right = right
        self.model = SimpleNamespace(temperature=torch.tensor(1.0))

    def match_scores(self, video, text, token_ids) -> np.ndarray:
        return np.where(video[:, 0, 0].numpy() == text[:, 0, 0].numpy(), self.right, 0.0).astype(np.float32)


@pytest.fixture
def made() -> tuple[np.ndarray, np.ndarray, np.ndarray, MatchTokens]:
    """Thirty videos, two texts of each, whose vectors are near those of their videos, but not nearest to them."""
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(30), 2)
    video = unit(rng.standard_normal((30, 6)))
    text = unit(video[owner] + 0.8 * rng.standard_normal((60, 6)))
    numbers = MatchTokens(
        torch.arange(30.0)[:, None, None], torch.from_numpy(owner).float()[:, None, None], torch.zeros(60, 1)
    )
    return video, text, owner, numbers


def test_a_head_that_knows_puts_every_candidate_first_and_leaves_the_others_where_they_were(made):
    video, text, owner, tokens = made
    old = retrieval_ranks(video, text, owner)
    assert (old.text_to_video > 1).sum() > 10
    new = reranked(KnowingEncoder(100.0), tokens, video, text, owner, candidates=5)
    assert np.array_equal(new.text_to_video, np.where(old.text_to_video <= 5, 1, old.text_to_video))
    assert (new.video_to_text <= old.video_to_text).all()
    all_candidates = reranked(KnowingEncoder(100.0), tokens, video, text, owner, candidates=60)
    assert (all_candidates.text_to_video == 1).all()
    assert (all_candidates.video_to_text == 1).all()


def test_a_head_that_knows_nothing_changes_nothing_and_one_that_lies_puts_the_right_answer_last(made):
    video, text, owner, tokens = made
    old = retrieval_ranks(video, text, owner)
    same = reranked(KnowingEncoder(0.0), tokens, video, text, owner, candidates=7)
    assert np.array_equal(same.text_to_video, old.text_to_video)
    assert np.array_equal(same.video_to_text, old.video_to_text)
    worst = reranked(KnowingEncoder(-100.0), tokens, video, text, owner, candidates=7).text_to_video
    assert np.array_equal(worst, np.where(old.text_to_video <= 7, 7, old.text_to_video))


def test_a_class_head_is_asked_about_the_classes_of_the_benchmark_in_its_order():
    head = ClassHead(3, 2)
    head.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    heads = Heads("ucf101", ("right", "up", "left"), head, ClassHead(3, 2))
    vectors = unit(np.array([[1, 0.1], [0.1, 1], [-1, 0.2], [0.2, 1]]))
    accuracy = head_accuracy(heads, vectors, np.array([1, 0, 2, 1]), ("up", "right", "left"))
    assert (accuracy.top_1, accuracy.count, accuracy.classes) == (0.75, 4, 3)
    assert accuracy.over(4).top_1 == 0.375
    assert head_accuracy(heads, vectors, np.zeros(4, int), ("up", "down")) is None


def test_an_attentive_probe_finds_the_one_token_that_tells_the_class_where_a_mean_does_not():
    rng = np.random.default_rng(0)

    def part(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.integers(0, 3, count)
        tokens = rng.standard_normal((count, 6, 16))
        places = rng.integers(0, 6, count)
        tokens[np.arange(count), places, :8] = 0
        tokens[np.arange(count), places, 0] = 8.0  # marks the token
        tokens[np.arange(count), places, 1 + labels] = 4.0
        return tokens.astype(np.float16), labels

    (train, train_labels), (test, test_labels) = part(600), part(200)
    accuracy = attentive_probe(train, train_labels, test, test_labels, classes=3)
    assert accuracy.top_1 > 0.85
    assert attentive_probe(train, train_labels, test, test_labels, classes=3).top_1 == accuracy.top_1
    short = [attentive_probe(train, train_labels, test, test_labels, classes=3, seed=n, epochs=1) for n in (0, 1)]
    assert short[0] != short[1]
    assert max(each.top_1 for each in short) < accuracy.top_1
    shuffled = attentive_probe(train, rng.permutation(train_labels), test, test_labels, classes=3)
    assert shuffled.top_1 < 0.5
    with pytest.raises(ValueError, match="the test part has 0 videos"):
        attentive_probe(train, train_labels, test[:0], test_labels[:0], classes=3)
    with pytest.raises(ValueError, match="beyond the 2 classes"):
        attentive_probe(train, train_labels, test, test_labels, classes=2)


def test_files_of_vectors_that_nobody_read_for_long_are_removed_when_another_is_written(tmp_path):
    def files(key: str, **options: float) -> VectorFiles:
        return VectorFiles(tmp_path, lambda benchmark: key, **options)

    benchmark = SimpleNamespace(name="msrvtt", split="test")

    def write(to: VectorFiles, vectors: np.ndarray) -> None:
        with to.writing(benchmark) as writer:
            writer.add([0], vectors)
            writer.finish([])

    pair = np.ones((1, 2), np.float32)
    for key in ("old", "used", "new"):
        write(files(key), pair)
    long_ago = time.time() - 1000
    for key in ("old", "used"):
        os.utime(tmp_path / f"msrvtt-test-{key}.vectors", (long_ago, long_ago))
    assert files("used").read(benchmark) is not None  # counts as a use
    write(files("next"), pair)
    assert (tmp_path / "msrvtt-test-old.vectors").exists()
    cleaning = files("cleaning", seconds_unused=500)
    write(cleaning, pair)
    write(cleaning.of_tokens(), np.ones((1, 3, 2), np.float16))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"msrvtt-test-{key}.vectors" for key in ("used", "new", "next", "cleaning")} | {
        "tokens-msrvtt-test-cleaning.vectors"
    }
    assert cleaning.of_tokens().read(benchmark).vectors.shape == (1, 3, 2)


def test_vectors_are_written_as_they_come_and_read_from_the_file(tmp_path):
    benchmark = SimpleNamespace(name="kinetics400", split="val")
    files = VectorFiles(tmp_path, lambda benchmark: "key")
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((5, 3, 4)).astype(np.float16)

    def write_until_the_disk_is_full() -> None:
        with files.writing(benchmark) as writer:
            writer.add([0, 1], tokens[:2])
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write_until_the_disk_is_full()
    assert (files.read(benchmark), list(tmp_path.iterdir())) == (None, [])
    with files.writing(benchmark) as writer:
        writer.add([0, 1], tokens[:2])
        writer.add([3, 4, 6], tokens[2:])
        writer.finish([("v2", "an error"), ("v5", "another")])
    stored = files.read(benchmark)
    assert isinstance(stored.vectors, np.memmap)
    assert (stored.positions, stored.failed) == ((0, 1, 3, 4, 6), (("v2", "an error"), ("v5", "another")))
    np.testing.assert_array_equal(stored.vectors, tokens)
