"""The classifier of everyday things: its file of weights, its network, its kinds, and real frames."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import av
import numpy as np
import onnxruntime
import pytest
import torch

from internvid.things import efficientnet
from internvid.things.classifier import DIMENSIONS, PictureClassifier, weights_file
from internvid.things.kinds import SeenKind, kinds
from internvid.things.naming import named, searched_words
from internvid.things.torch_file import tensors_of

REAL_VIDEOS = Path(__file__).parents[4] / "shared" / "videos" / "open"


@pytest.fixture(scope="module")
def classifier() -> PictureClassifier:
    return PictureClassifier()


def frames_of(name: str, *, frames: int = 4) -> list[np.ndarray]:
    """Frames of a real video, one a second."""
    path = REAL_VIDEOS / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    chosen: list[np.ndarray] = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.time is not None and frame.time >= len(chosen):
                chosen.append(frame.to_ndarray(format="rgb24"))
            if len(chosen) == frames:
                break
    return chosen


def test_the_weights_are_those_that_torch_reads():
    ours = tensors_of(weights_file())
    theirs = torch.load(weights_file(), weights_only=True)
    assert list(ours) == list(theirs)
    assert all(np.array_equal(ours[name], tensor.numpy()) for name, tensor in theirs.items())


@pytest.mark.parametrize("legacy", [True, False], ids=["before 1.6", "since 1.6"])
def test_a_file_of_weights_runs_nothing(tmp_path, legacy):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    torch.save({"weight": Evil()}, tmp_path / "evil.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises((pickle.UnpicklingError, ValueError)):
        tensors_of(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


def test_a_file_that_is_cut_off_is_refused(tmp_path):
    torch.save({"weight": torch.arange(1000.0)}, tmp_path / "whole.pth", _use_new_zipfile_serialization=False)
    whole = (tmp_path / "whole.pth").read_bytes()
    assert tensors_of(tmp_path / "whole.pth")["weight"].sum() == 499_500
    (tmp_path / "cut.pth").write_bytes(whole[:-100])
    with pytest.raises(ValueError, match="cut off"):
        tensors_of(tmp_path / "cut.pth")


def test_a_convolution_with_its_normalisation_is_what_torch_computes():
    """The stem of the network: padding at the right and below, and batch normalisation folded in."""
    weights = tensors_of(weights_file())
    graph = efficientnet.Graph("pictures")
    efficientnet.convolution(graph, weights, "pictures", "_conv_stem", "_bn0", stride=2, output="stem")
    model = graph.model(["n", 3, 224, 224], {"stem": ["n", 32, 112, 112]})
    picture = np.random.default_rng(1).normal(size=(1, 3, 224, 224)).astype(np.float32)
    (ours,) = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"pictures": picture})

    of_torch = {name: torch.from_numpy(np.array(weights[name])) for name in weights}
    padded = torch.nn.functional.pad(torch.from_numpy(picture), (0, 1, 0, 1))
    theirs = torch.nn.functional.conv2d(padded, of_torch["_conv_stem.weight"], stride=2)
    norm = [of_torch[f"_bn0.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
    theirs = torch.nn.functional.batch_norm(theirs, *norm, eps=1e-3).clamp(0, 6)
    assert np.abs(ours - theirs.numpy()).max() < 1e-4


def test_every_class_is_in_one_kind_at_most_and_every_kind_has_a_class():
    counts = Counter(number for kind in kinds() for number in kind.classes)
    assert max(counts.values()) == 1
    assert all(kind.classes and max(kind.classes) < efficientnet.CLASSES for kind in kinds())
    assert len({kind.name for kind in kinds()}) == len(kinds()) >= 150


@pytest.mark.parametrize(
    ("video", "name"),
    [
        ("tractor_vp9.webm", "a tractor"),
        ("carphone_qcif.mp4", "a suit"),
        ("chaplin_bw.mp4", "a person"),
        ("shuttle_vp8.webm", "an aircraft or a spacecraft"),
    ],
)
def test_a_real_thing_is_named(classifier, video, name):
    assert [kind.name for kind in named(classifier.see(frames_of(video)).kinds)] == [name]


@pytest.mark.parametrize("video", ["nasa_13013_vfr.mp4", "grid_bbaf2n.mpg", "sam2_cups_shuffle.mp4"])
def test_where_no_kind_is_sure_no_thing_is_named(classifier, video):
    names = {kind.name for kind in named(classifier.see(frames_of(video)).kinds)}
    assert names <= {"a person"}


def test_noise_and_plain_pictures_have_no_name(classifier):
    random = np.random.default_rng(0)
    for picture in (
        random.integers(0, 256, (240, 320, 3), dtype=np.uint8),
        np.full((240, 320, 3), 128, np.uint8),
        np.zeros((9, 300, 3), np.uint8),
    ):
        assert named(classifier.see([picture]).kinds) == []


def test_a_clips_vector_has_length_one_and_is_nearest_to_its_own_video(classifier):
    videos = ["tractor_vp9.webm", "shuttle_vp8.webm", "grid_bbaf2n.mpg", "intel_asl_no.mkv"]
    halves = [[classifier.see(frames_of(video)[half : half + 2]).vector for video in videos] for half in (0, 2)]
    first, second = (np.stack(vectors) for vectors in halves)
    assert first.shape == (4, DIMENSIONS)
    assert np.allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)
    assert (first @ second.T).argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_frames_are_seen_the_same_whatever_the_call(classifier):
    frames = frames_of("tractor_vp9.webm", frames=6)
    together = classifier.see(frames)
    assert together.kinds == PictureClassifier().see(frames).kinds
    alone = classifier.see(frames[:1]).kinds
    (tractor,) = [kind for kind in together.kinds if kind.name == "a tractor"]
    assert tractor.peak >= next(kind.probability for kind in alone if kind.name == "a tractor")


@pytest.mark.parametrize("frames", [[], [np.zeros((4, 4), np.uint8)], [np.zeros((4, 4, 3), np.float32)]])
def test_what_is_no_picture_is_refused(classifier, frames):
    with pytest.raises(ValueError, match=r"frame|picture"):
        classifier.see(frames)


def test_the_classifier_runs_without_torch():
    code = (
        "import sys, numpy as np; from internvid.things.classifier import PictureClassifier as C; "
        "C().see([np.zeros((40, 40, 3), np.uint8)]); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


@pytest.mark.parametrize(
    ("seen", "names"),
    [
        ([("a dog", 0.51, 0.51)], ["a dog"]),
        ([("a dog", 0.1, 0.6)], ["a dog"]),
        ([("a dog", 0.49, 0.51)], []),
        ([("a dog", 0.3, 0.6), ("a cat", 0.2, 0.6), ("a horse", 0.1, 0.6)], ["a dog", "a cat"]),
        ([("a car", 0.2, 0.3), ("a bus", 0.21, 0.3)], ["a vehicle"]),
        ([("an airplane", 0.4, 0.6), ("a spaceship", 0.2, 0.3)], ["an aircraft or a spacecraft"]),
        ([("a car", 0.6, 0.7), ("a bus", 0.1, 0.2)], ["a car"]),
        ([("an airplane", 0.2, 0.6), ("a tractor", 0.2, 0.3), ("a parachute", 0.05, 0.1)], ["an airplane"]),
        ([("an airplane", 0.25, 0.3), ("a spaceship", 0.2, 0.3)], ["an aircraft or a spacecraft"]),
        ([("a violin", 0.3, 0.4), ("a guitar", 0.3, 0.4)], []),
        ([("a hat", 0.1, 0.2), ("a uniform", 0.06, 0.2)], ["a person"]),
    ],
    ids=str,
)
def test_what_is_sure_is_named_and_groups_are_named_together(seen, names):
    assert [kind.name for kind in named([SeenKind(*kind) for kind in seen])] == names


def test_search_finds_less_sure_kinds_by_more_words_and_ranks_them_by_their_probability():
    dog, cat, cow = SeenKind("a dog", 0.1, 0.5), SeenKind("a cat", 0.05, 0.2), SeenKind("a cow", 0.02, 0.03)
    counts = Counter(searched_words([dog, cat, cow]).split())
    assert counts["dog"] == counts["puppy"] == 8
    assert counts["cat"] == counts["kitten"] == 1
    assert "cow" not in counts
