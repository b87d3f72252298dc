"""Zero-shot classification by its sixteen prompts, and the linear probe."""

import numpy as np
import pytest
import torch

from internvid.evaluation.classification import (
    TEMPLATES,
    accuracy,
    chance,
    class_vectors,
    prompts,
    ranks_of_labels,
    zero_shot_accuracy,
)
from internvid.evaluation.linear_probe import linear_probe


def test_the_prompts_are_the_sixteen_of_actionclip_as_the_model_reads_text():
    assert len(TEMPLATES) == 16
    assert prompts("Playing <X-Box> (kinect)") == [
        "a photo of action playing <x box> kinect",
        "a picture of action playing <x box> kinect",
        "human action of playing <x box> kinect",
        "playing <x box> kinect an action",
        "playing <x box> kinect this is an action",
        "playing <x box> kinect a video of action",
        "playing action of playing <x box> kinect",
        "playing <x box> kinect",
        "playing a kind of action playing <x box> kinect",
        "doing a kind of action playing <x box> kinect",
        "look the human is playing <x box> kinect",
        "can you recognize the action of playing <x box> kinect",
        "video classification of playing <x box> kinect",
        "a video of playing <x box> kinect",
        "the man is playing <x box> kinect",
        "the woman is playing <x box> kinect",
    ]
    assert prompts("{}")[7] == "{}"  # a name is no template


def test_a_class_is_the_mean_of_its_prompts_and_is_not_normalised_again():
    rng = np.random.default_rng(0)
    vectors: dict[str, np.ndarray] = {}

    def encode(texts):
        for text in texts:
            vector = rng.normal(size=8)
            vectors[text] = (vector / np.linalg.norm(vector)).astype(np.float32)
        return np.stack([vectors[text] for text in texts])

    classes = class_vectors(["riding a mule", "yoga"], encode)
    video = np.eye(8, dtype=np.float32)
    for number, label in enumerate(["riding a mule", "yoga"]):
        cosines = np.stack([video.astype(np.float64) @ vectors[prompt] for prompt in prompts(label)])
        np.testing.assert_allclose((video @ classes.T)[:, number], cosines.mean(0), atol=1e-12)
    assert (np.linalg.norm(classes, axis=1) < 0.9).all()


def test_ranks_of_labels_by_hand_count_ties_against_us():
    scores = np.array([[0.9, 0.1, 0.2], [0.5, 0.5, 0.1], [0.3, 0.3, 0.3], [0.1, 0.2, 0.3], [0.9, 0.8, 0.7]])
    assert ranks_of_labels(scores, np.array([0, 1, 2, 0, 3])).tolist() == [1, 2, 3, 3, 4]
    with pytest.raises(ValueError, match="not finite"):
        ranks_of_labels(np.array([[np.nan, 0.0]]), np.array([0]))


def test_accuracy_is_top_1_top_5_and_their_mean():
    result = accuracy(np.array([1, 1, 2, 5, 6, 7, 8, 9]), classes=10)
    assert (result.top_1, result.top_5, result.mean, result.count) == (0.25, 0.5, 0.375, 8)
    assert (chance(400).top_1, chance(400).top_5, chance(400).mean) == (1 / 400, 1 / 80, (1 / 400 + 1 / 80) / 2)
    assert chance(3).top_5 == 1.0


@pytest.mark.parametrize("videos_per_batch", [1, 7, 4096])
def test_zero_shot_accuracy_is_the_same_however_many_videos_are_taken_at_once(videos_per_batch):
    rng = np.random.default_rng(4)
    classes = rng.normal(size=(20, 16))
    labels = rng.integers(0, 20, 100)
    video = (classes[labels] + rng.normal(size=(100, 16)) * 1.2).astype(np.float32)
    result = zero_shot_accuracy(video, classes, labels, videos_per_batch=videos_per_batch)
    order = np.argsort(-(video.astype(np.float64) @ classes.T), axis=1)
    assert result.top_1 == (order[:, 0] == labels).mean()
    assert result.top_5 == (order[:, :5] == labels[:, None]).any(1).mean()
    assert 0.2 < result.top_1 < result.top_5 < 1


def test_equal_classes_are_never_guessed_right():
    result = zero_shot_accuracy(np.ones((10, 4), np.float32), np.ones((6, 4)), np.arange(10) % 6)
    assert (result.top_1, result.top_5) == (0.0, 0.0)


# --- linear probe ---------------------------------------------------------------------------------------------------


def clusters(rng: np.random.Generator, count: int, centres: np.ndarray, noise: float) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(count) % len(centres)
    return (centres[labels] + noise * rng.normal(size=(count, centres.shape[1]))).astype(np.float32), labels


def test_a_probe_finds_classes_that_lie_apart_and_none_in_noise():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(8, 16))
    train, train_labels = clusters(rng, 160, centres, 0.3)
    test, test_labels = clusters(rng, 80, centres, 0.3)
    probe = linear_probe(train, train_labels, test, test_labels, classes=8)
    assert probe.accuracy.top_1 > 0.95
    assert (probe.accuracy.count, probe.accuracy.classes) == (80, 8)
    noise = linear_probe(rng.normal(size=(160, 16)).astype(np.float32), train_labels, test, test_labels, classes=8)
    assert noise.accuracy.top_1 < 0.4


def test_a_probe_does_not_mind_how_columns_are_scaled():
    rng = np.random.default_rng(1)
    train, train_labels = clusters(rng, 90, rng.normal(size=(6, 8)), 1.0)
    test, test_labels = clusters(rng, 60, rng.normal(size=(6, 8)), 1.0)
    scale, shift = 10.0 ** rng.integers(-3, 4, 8), rng.normal(size=8)
    plain = linear_probe(train, train_labels, test, test_labels, classes=6, strengths=[1.0])
    scaled = linear_probe(
        *((train + shift) * scale, train_labels, (test + shift) * scale, test_labels), classes=6, strengths=[1.0]
    )
    assert scaled.accuracy == plain.accuracy


def test_the_strength_is_the_best_on_the_held_out_part():
    rng = np.random.default_rng(2)
    labels = (np.arange(100) % 10 == 0).astype(int)  # a strong penalty leaves the biases, which know one class only
    vectors = (np.outer(2.0 * labels - 1, np.ones(4)) + 0.5 * rng.normal(size=(100, 4))).astype(np.float32)
    probe = linear_probe(vectors, labels, vectors, labels, classes=2)
    assert probe.held_out_top_1[1e-4] == 0.9
    assert probe.held_out_top_1[probe.strength] == max(probe.held_out_top_1.values()) > 0.9
    assert probe.strength == min(
        c for c, share in probe.held_out_top_1.items() if share == probe.held_out_top_1[probe.strength]
    )
    assert probe.accuracy.top_1 > 0.95


def test_a_probe_is_at_the_minimum_of_its_loss():
    from internvid.evaluation.linear_probe import _fit

    rng = np.random.default_rng(3)
    vectors, labels = clusters(rng, 60, rng.normal(size=(3, 5)), 1.0)
    x, y = torch.as_tensor(vectors), torch.as_tensor(labels)
    model = _fit(x, y, 3, 0.5).double().requires_grad_(True)
    loss = 0.5 * torch.nn.functional.cross_entropy(x.double() @ model[:-1] + model[-1], y, reduction="sum")
    (loss + model[:-1].square().sum() / 2).backward()
    assert model.grad.abs().max() < 2e-3


def test_one_video_a_class_is_enough_to_fit_and_nothing_is_held_out_then():
    probe = linear_probe(
        np.eye(3, dtype=np.float32), np.arange(3), np.eye(3, dtype=np.float32), np.arange(3), classes=3
    )
    assert probe.held_out_top_1 == {}
    assert probe.accuracy.top_1 == 1.0


@pytest.mark.parametrize(
    ("train_labels", "classes", "message"), [([0, 5], 3, "beyond the 3 classes"), ([0], 3, "2 videos and 1 labels")]
)
def test_labels_that_do_not_fit_are_refused(train_labels, classes, message):
    with pytest.raises(ValueError, match=message):
        linear_probe(np.eye(2), np.array(train_labels), np.eye(2), np.array([0, 1]), classes=classes)
