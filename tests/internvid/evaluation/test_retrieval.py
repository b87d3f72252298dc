"""Ranks by hand, ties, several texts per video, dual softmax, and that the tiles' size changes nothing."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from internvid.evaluation.retrieval import chance, repeated_texts, retrieval_ranks, summarise


def vectors_with_scores(scores: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of videos and texts whose products are the scores [videos][texts]."""
    matrix = np.array(scores, np.float32)
    return np.eye(len(matrix), dtype=np.float32), np.ascontiguousarray(matrix.T)


def unit(rng: np.random.Generator, count: int, width: int = 16) -> np.ndarray:
    vectors = rng.normal(size=(count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def naive(video_scores: np.ndarray, text_scores: np.ndarray, owner: np.ndarray) -> tuple[list[int], list[int]]:
    """Ranks from whole matrices [videos, texts], one query after the other."""
    text_ranks = [
        1 + sum(video_scores[v, t] >= video_scores[owner[t], t] for v in range(len(video_scores)) if v != owner[t])
        for t in range(len(owner))
    ]
    video_ranks = []
    for v in sorted(set(owner)):
        best = max(text_scores[v, t] for t in range(len(owner)) if owner[t] == v)
        video_ranks.append(1 + sum(text_scores[v, t] >= best for t in range(len(owner)) if owner[t] != v))
    return text_ranks, video_ranks


def products(video: np.ndarray, text: np.ndarray) -> np.ndarray:
    return (video.astype(np.float64) @ text.astype(np.float64).T).astype(np.float32)


def test_ranks_by_hand_with_ties_against_us_and_two_texts_of_one_video():
    video, text = vectors_with_scores(
        [
            [0.9, 0.2, 0.5, 0.1],
            [0.3, 0.6, 0.5, 0.1],
            [0.3, 0.2, 0.7, 0.1],
        ]
    )
    ranks = retrieval_ranks(video, text, np.array([0, 0, 1, 2]))
    assert ranks.text_to_video.tolist() == [1, 3, 3, 3]
    assert ranks.video_to_text.tolist() == [1, 2, 4]


def test_a_model_that_gives_everything_the_same_vector_gets_the_last_rank():
    vectors = np.ones((50, 4), np.float32) / 2
    ranks = retrieval_ranks(vectors, vectors, np.arange(50), tile=7)
    assert set(ranks.text_to_video) == set(ranks.video_to_text) == {50}


def test_equal_vectors_tie_exactly_wherever_they_stand():
    rng = np.random.default_rng(0)
    kinds = unit(rng, 3, 512)
    kind = rng.integers(0, 3, 300)
    text = kinds[kind]  # each text has the maximum score with every video of its kind
    for tile in (13, 64, 300):
        ranks = retrieval_ranks(kinds[kind], text, np.arange(300), tile=tile)
        assert ranks.text_to_video.tolist() == np.bincount(kind)[kind].tolist()
        assert ranks.video_to_text.tolist() == np.bincount(kind)[kind].tolist()


@pytest.mark.parametrize("tile", [1, 3, 10, 2048])
def test_any_size_of_tile_gives_the_ranks_of_the_whole_matrix(tile):
    rng = np.random.default_rng(1)
    video = unit(rng, 20, 8)
    video[7] = video[3]
    owner = np.sort(np.concatenate([np.arange(1, 20), rng.integers(1, 20, 21)]))  # video 0 has no text
    text = unit(rng, 40, 8)
    text[11] = text[30]
    scores = products(video, text)
    ranks = retrieval_ranks(video, text, owner, tile=tile)
    assert (ranks.text_to_video.tolist(), ranks.video_to_text.tolist()) == naive(scores, scores, owner)


@pytest.mark.parametrize("tile", [1, 3, 10, 2048])
@pytest.mark.parametrize("temperature", [1.0, 0.01])
def test_dual_softmax_is_the_score_times_its_softmax_over_the_queries(tile, temperature):
    rng = np.random.default_rng(2)
    video, text = unit(rng, 12, 8), unit(rng, 30, 8)
    video[5] = video[6]
    owner = rng.permutation(np.concatenate([np.arange(12), rng.integers(0, 12, 18)]))
    scores = torch.as_tensor(products(video, text)).double()
    over_texts = (scores * (scores / temperature).softmax(dim=1)).float().numpy()
    over_videos = (scores * (scores / temperature).softmax(dim=0)).float().numpy()
    ranks = retrieval_ranks(video, text, owner, dual_softmax_temperature=temperature, tile=tile)
    # A text's scores with videos are weighed by how much of each video's softmax over texts is its own.
    assert (ranks.text_to_video.tolist(), ranks.video_to_text.tolist()) == naive(over_texts, over_videos, owner)
    plain = retrieval_ranks(video, text, owner)
    assert ranks.text_to_video.tolist() != plain.text_to_video.tolist()


def test_dual_softmax_takes_a_hub_out_of_the_way():
    # Video 2 is nearest to every text; its softmax over texts tells whose it is.
    video, text = vectors_with_scores([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.85, 0.85, 1.0]])
    owner = np.arange(3)
    assert retrieval_ranks(video, text, owner).text_to_video.tolist() == [2, 2, 1]
    assert retrieval_ranks(video, text, owner, dual_softmax_temperature=0.1).text_to_video.tolist() == [1, 1, 1]


def test_neither_the_matrix_of_scores_nor_a_row_of_it_is_ever_held():
    code = """
import resource, numpy as np, torch
from internvid.evaluation.retrieval import repeated_texts, retrieval_ranks
torch.set_num_threads(1)
rng = np.random.default_rng(0)
few, many = (rng.normal(size=(count, 4)).astype(np.float32) for count in (500, 60_000))
retrieval_ranks(few, few, np.arange(500), tile=500)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
retrieval_ranks(few, many, np.arange(60_000) % 500, tile=500)
retrieval_ranks(many, few, np.arange(500), tile=500)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    kibibytes = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert kibibytes < 60_000  # 500 x 60,000 scores at once: 120 MB, in float64 240 MB


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda video, text, owner: text.__setitem__((1, 0), np.nan), "not finite"),
        (lambda video, text, owner: video.__setitem__((1, 0), np.inf), "not finite"),
        (lambda video, text, owner: owner.__setitem__(0, 3), "of 3"),
        (lambda video, text, owner: owner.__setitem__(0, -1), "of 3"),
    ],
)
def test_vectors_and_owners_that_make_no_sense_are_refused(spoil, message):
    rng = np.random.default_rng(0)
    video, text, owner = unit(rng, 3), unit(rng, 3), np.arange(3)
    spoil(video, text, owner)
    with pytest.raises(ValueError, match=message):
        retrieval_ranks(video, text, owner)


def test_a_summary_holds_recalls_median_and_mean():
    summary = summarise(np.array([1, 1, 2, 5, 6, 11]))
    assert summary.recall == {1: 2 / 6, 5: 4 / 6, 10: 5 / 6}
    assert (summary.median, summary.mean, summary.count) == (3.5, 26 / 6, 6)


def test_chance_is_the_expected_value_of_random_guesses():
    one_correct = chance(4, np.ones(7))
    assert one_correct.recall == {1: 0.25, 5: 1.0, 10: 1.0}
    assert (one_correct.median, one_correct.mean) == (2.0, 2.5)
    # Of two right among five the better one is first in 2 of 5 draws, within two in 1 - (3*2)/(5*4) = 0.7.
    mixed = chance(5, np.array([1, 2]))
    assert mixed.recall[1] == pytest.approx((0.2 + 0.4) / 2)
    assert mixed.mean == pytest.approx((6 / 2 + 6 / 3) / 2)
    assert mixed.median == 2.0  # within two: (0.4 + 0.7) / 2


def test_chance_is_near_what_random_vectors_get():
    rng = np.random.default_rng(3)
    owner = np.repeat(np.arange(200), 3)
    ranks = retrieval_ranks(unit(rng, 200, 64), unit(rng, 600, 64), owner)
    expected = chance(600, np.full(200, 3))
    assert summarise(ranks.video_to_text).mean == pytest.approx(expected.mean, rel=0.2)
    assert summarise(ranks.text_to_video).mean == pytest.approx(chance(200, np.ones(600)).mean, rel=0.2)


def test_repeated_texts_bound_recall_at_1_as_the_best_possible_vectors_do():
    texts = ["a", "b", "a", "c", "a", "a", "d", "c"]
    owner = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    repeated = repeated_texts(texts, owner)
    # Of four "a" two are of video 2; of two "c" one can be right.
    assert (repeated.texts, repeated.text_to_video) == (6, (2 + 1 + 1 + 1) / 8)
    assert repeated.video_to_text == 2 / 4  # videos 0 and 3 have a text of their own
    # Vectors that know each video: equal texts have equal vectors, nearest to the video that has most of them.
    place = {"a": 2, "b": 0, "c": 1, "d": 3}
    video = np.eye(4, dtype=np.float32)
    ranks = retrieval_ranks(video, video[[place[text] for text in texts]], owner)
    assert (ranks.text_to_video == 1).mean() == repeated.text_to_video
    assert (ranks.video_to_text == 1).mean() <= repeated.video_to_text
    unique = repeated_texts(["a", "b"], np.array([0, 1]))
    assert (unique.texts, unique.text_to_video, unique.video_to_text) == (0, 1.0, 1.0)
