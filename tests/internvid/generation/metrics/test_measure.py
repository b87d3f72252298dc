"""Videos are measured: what grows with damage, what depends on the frames alone, and what is warned of."""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from real_videos import REAL_VIDEOS, needs_real_videos
from safetensors.torch import save_file
from tiny_video_networks import tiny_i3d, tiny_inception

from internvid.generation.metrics.features import ClassifierVectors, VideoVectors
from internvid.generation.metrics.frechet import RunningGaussian, frechet_distance
from internvid.generation.metrics.i3d import I3D, Pool, i3d_of
from internvid.generation.metrics.measure import (
    FrechetMeter,
    InceptionScoreMeter,
    Meter,
    SimilarityMeter,
    measure,
)
from internvid.generation.metrics.networks import Inception, VideoFeatures
from internvid.generation.metrics.videos import (
    MeasuredVideo,
    Reading,
    ReadVideo,
    consecutive_frames,
    fitted,
    read_video,
    videos_in,
)

SIDE, FRAMES = 64, 16


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Inception, VideoFeatures]:
    folder = tmp_path_factory.mktemp("networks")
    return Inception(tiny_inception(folder / "inception.pt")), VideoFeatures(tiny_i3d(folder / "i3d.pt"))


def gaussian(features: Callable, videos: list[np.ndarray]) -> RunningGaussian:
    running = RunningGaussian()
    for start in range(0, len(videos), 5):
        running.add(features(videos[start : start + 5]))
    return running


# Short ones and small ones, of different kinds: people, cars, drawings, a rocket.
CHOSEN = ("carphone_qcif.mp4", "grid_bbaf2n.mpg", "intel_bottles.mp4", "bbb_opening_vp8.webm", "chaplin_bw.mp4")
CHOSEN += ("sam2_football_juggle.mp4", "apollo15_mjpeg_144p.avi", "sam2_cups_shuffle.mp4")


@pytest.fixture(scope="module")
def real() -> list[np.ndarray]:
    """Two spans of each of the videos, [16, 64, 64, 3] each."""
    reading = Reading(2 * FRAMES, "consecutive", (SIDE, SIDE))
    wholes = [read_video(str(REAL_VIDEOS / "open" / name), None, None, reading).frames for name in CHOSEN]
    return [part for whole in wholes for part in (whole[:FRAMES], whole[FRAMES:])]


def noisy(video: np.ndarray, deviation: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=video.shape) * deviation
    return (video + noise).round().clip(0, 255).astype(np.uint8)


def blurred(video: np.ndarray, sigma: float) -> np.ndarray:
    return np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) if sigma else frame for frame in video])


def shuffled(video: np.ndarray, frames: float) -> np.ndarray:
    """So many frames, drawn at random, change places among themselves."""
    rng = np.random.default_rng(0)
    order = np.arange(len(video))
    places = rng.permutation(len(video))[: int(frames)]
    order[places] = order[rng.permutation(places)]
    return video[order]


DAMAGES = {"noise": (noisy, (0, 8, 25, 80)), "blur": (blurred, (0, 0.7, 2, 6)), "shuffling": (shuffled, (0, 4, 8, 16))}


@needs_real_videos
@pytest.mark.slow
def test_distances_to_real_videos_grow_with_the_damage(networks, real):
    of_real = [gaussian(network.features, real) for network in networks]

    def distances(damage: Callable, level: float) -> tuple[float, float]:
        damaged = [damage(video, level) for video in real]
        of_frames, of_videos = (gaussian(network.features, damaged) for network in networks)
        return frechet_distance(of_frames, of_real[0]), frechet_distance(of_videos, of_real[1])

    for name, (damage, levels) in DAMAGES.items():
        of_frames, of_videos = zip(*(distances(damage, level) for level in levels), strict=True)
        assert of_videos[0] == pytest.approx(0, abs=1e-6)
        assert all(1.2 * less < more for less, more in pairwise(of_videos)), (name, of_videos)
        if name == "shuffling":
            assert of_frames == pytest.approx([0] * len(levels), abs=1e-6), "the order of frames is nothing to frames"
        else:
            assert all(1.2 * less < more for less, more in pairwise(of_frames)), (name, of_frames)


def moving(seed: int, height: int = 40, width: int = 64, frames: int = FRAMES) -> np.ndarray:
    """A bright square that moves over a dark ground."""
    rng = np.random.default_rng(seed)
    video = np.full((frames, height, width, 3), rng.integers(0, 60, 3), np.uint8)
    top, left, colour = rng.integers(0, height - 10), rng.integers(0, width - 30), rng.integers(120, 255, 3)
    for number, frame in enumerate(video):
        frame[top : top + 10, left + number : left + number + 10] = colour
    return video


def reader(videos: dict[str, np.ndarray]) -> Callable:
    """Reads from memory as files are read."""

    def read(
        wanted: Iterable[MeasuredVideo], reading: Reading
    ) -> Iterator[tuple[MeasuredVideo, ReadVideo | Exception]]:
        for video in wanted:
            if video.name not in videos:
                yield video, OSError("gone")
                continue
            whole = videos[video.name]
            frames = whole[consecutive_frames(len(whole), reading.frames)]
            size = reading.size
            yield video, ReadVideo(frames if size is None else np.stack([fitted(f, size) for f in frames]), len(whole))

    return read


class Colours:
    """Stands for a model of videos and texts: both are three numbers."""

    frames = 8

    def encode_videos(self, videos):
        assert {len(video) for video in videos} == {self.frames}
        means = np.stack([video.mean((0, 1, 2)) for video in videos]).astype(np.float32)
        return means / np.linalg.norm(means, axis=1, keepdims=True)

    def encode_texts(self, texts):
        colours = {"red": (1, 0, 0), "green": (0, 1, 0), "grey": (3**-0.5,) * 3}
        return np.array([colours[text] for text in texts], np.float32)


def test_figures_come_with_their_numbers_and_say_where_they_are_too_few(networks):
    frames, videos = networks
    made = {str(number): moving(number) for number in range(20)}
    made |= {f"real {number}": moving(100 + number, 100, 130, frames=10 + number) for number in range(13)}
    vectors = VideoVectors(Colours(), "colours")
    meters: list[Meter] = [
        FrechetMeter("fvd", videos.features, of="videos", preparation=videos.preparation),
        FrechetMeter("fid", frames.features, of="frames", preparation=frames.preparation),
        InceptionScoreMeter(frames.probabilities, preparation=frames.preparation),
        SimilarityMeter("viclip_similarity", vectors.similarities, preparation=vectors.preparation),
    ]
    prompts = ["grey", "red"]
    generated = [MeasuredVideo(str(n), Path(), prompts[n] if n < 2 else None) for n in range(21)]
    real_videos = [MeasuredVideo(f"real {n}", Path()) for n in range(13)]
    ticks: list[int] = []
    measured = measure(meters, generated, real_videos, reader(made), on_videos=ticks.append)
    assert sum(ticks) == 34
    assert (measured.generated, measured.real) == (20, 13)
    assert measured.failed == (("20", "OSError: gone"),)
    of = {figure.metric: figure for figure in measured.figures}
    assert [(f.samples, f.real_samples) for f in measured.figures] == [(20, 13), (320, 208), (320, None), (2, None)]
    expected_videos = [made[str(n)] for n in range(20)]
    in_size = [fitted_video(made[f"real {n}"], (40, 64)) for n in range(13)]
    assert of["fvd"].value == pytest.approx(
        frechet_distance(gaussian(videos.features, expected_videos), gaussian(videos.features, in_size)), rel=1e-5
    )
    grey, red = (made[str(n)].mean((0, 1, 2)) / np.linalg.norm(made[str(n)].mean((0, 1, 2))) for n in range(2))
    assert of["viclip_similarity"].value == pytest.approx((grey.sum() / 3**0.5 + red[0]) / 2, rel=1e-4)
    assert 1 <= of["is"].value <= 5
    assert of["fvd"].warning is not None
    assert "13 videos are fewer than 2,048" in of["fvd"].warning
    assert of["is"].warning is not None
    assert of["viclip_similarity"].warning is None
    assert "real: 16 frames in a row from the middle, 64 x 40" in measured.notes[1]
    assert measured.notes[2:] == ("6 real videos have fewer than 16 frames; their last one is repeated",)


def fitted_video(whole: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.stack([fitted(frame, size) for frame in whole[consecutive_frames(len(whole), FRAMES)]])


def test_enough_samples_are_not_warned_of():
    meter = FrechetMeter(
        "fvd", lambda videos: np.stack([v.mean((1, 2, 3)) for v in videos]), of="videos", preparation=""
    )
    clips = [np.random.default_rng(n).integers(0, 255, (3, 2, 2, 3), np.uint8) for n in range(2_048)]
    meter.add(clips, [None] * len(clips))
    meter.add_real(clips)
    assert meter.figure().warning is None
    assert meter.figure().value == pytest.approx(0, abs=1e-5)


def test_a_metric_without_what_it_needs_says_so(networks):
    _, videos = networks
    generated = [MeasuredVideo("0", Path())]
    similarity = SimilarityMeter("clipsim", Colours, preparation="")
    with pytest.raises(ValueError, match="clipsim needs the prompts"):
        measure([similarity], generated, [], reader({"0": moving(0)}))
    with pytest.raises(ValueError, match="no generated video that can be read"):
        measure([similarity], generated, [], reader({}))
    with pytest.raises(ValueError, match="I3D needs 9 frames"):
        videos.features([moving(0)[:8]])


def test_the_classifier_tells_frames_apart():
    vectors = ClassifierVectors().features([moving(0, frames=2), moving(1, frames=1)])
    assert vectors.shape == (3, 256)
    assert not np.allclose(vectors[0], vectors[2])


# --- files of networks ----------------------------------------------------------------------------------------------


def test_plain_weights_of_i3d_load_and_others_are_refused(tmp_path):
    torch.manual_seed(0)
    network = I3D().eval()
    assert sum(parameter.numel() for parameter in network.parameters()) == 12_697_264
    weights = network.state_dict()
    save_file(weights, tmp_path / "i3d.safetensors")
    torch.save(weights, tmp_path / "i3d.pt")
    video = moving(0, frames=9)
    of_safetensors, of_torch = (
        VideoFeatures(tmp_path / name).features([video]) for name in ("i3d.safetensors", "i3d.pt")
    )
    assert of_safetensors.shape == (1, 400)
    assert np.isfinite(of_safetensors).all()
    np.testing.assert_array_equal(of_safetensors, of_torch)
    del weights["Mixed_4d.b1b.conv3d.weight"]
    with pytest.raises(ValueError, match=r"not the weights of I3D.*Mixed_4d\.b1b"):
        i3d_of(weights)
    with pytest.raises(ValueError, match="as in I3D"):
        i3d_of(network.state_dict() | {"logits.conv3d.bias": torch.zeros(3)})


def test_i3d_pads_as_tensorflow_does_each_axis_by_its_own_size_and_the_odd_element_at_the_end():
    pool = Pool((1, 3, 3), (1, 2, 2))
    video = -torch.ones(1, 1, 2, 4, 5)  # of 4, stride 2: one element is missing, at the end; of 5: one at either end
    expected = torch.tensor([[0.0, -1, 0], [0, 0, 0]])  # zeros stand around, and the largest of 3 x 3 is taken
    assert torch.equal(pool(video)[0, 0, 0], expected)
    assert pool(video).shape == (1, 1, 2, 2, 3)
    assert Pool((2, 2, 2), (2, 2, 2))(video).shape == (1, 1, 1, 2, 3)


def test_a_pickle_is_not_opened(tmp_path):
    torch.save(I3D(), tmp_path / "module.pt")
    with pytest.raises(ValueError, match="no TorchScript program"):
        Inception(tmp_path / "module.pt")
    with pytest.raises(ValueError, match="holds no weights"):
        VideoFeatures(tmp_path / "module.pt")
    with pytest.raises(FileNotFoundError):
        Inception(tmp_path / "none.pt")


# --- videos ---------------------------------------------------------------------------------------------------------


def test_frames_are_cropped_to_the_shape_and_resized():
    frame = np.zeros((40, 100, 3), np.uint8)
    frame[:, 30:70] = 200
    assert (fitted(frame, (20, 20)) == 200).all(), "the middle square"
    assert fitted(frame, (80, 200)).shape == (80, 200, 3)
    assert fitted(frame, (40, 100)) is frame


def test_runs_of_frames_are_from_the_middle():
    assert consecutive_frames(10, 4) == [3, 4, 5, 6]
    assert consecutive_frames(2, 4) == [0, 1, 1, 1]
    with pytest.raises(ValueError, match="cannot choose"):
        consecutive_frames(0, 4)


def test_a_folder_of_videos_has_prompts_by_name_or_by_path(tmp_path, synthetic_video):
    (tmp_path / "a").mkdir()
    synthetic_video(tmp_path / "a", "x.mp4")
    (tmp_path / "y.GIF").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "prompts.jsonl").write_text('{"video": "a/x.mp4", "prompt": "pink"}\n{"video": "y", "prompt": "red"}\n')
    found = list(videos_in(tmp_path))
    assert [(video.name, video.prompt) for video in found] == [("y.GIF", "red"), ("a/x.mp4", "pink")]
    read = read_video(str(found[1].path), None, None, Reading(16, size=(32, 48)))
    assert read.frames.shape == (16, 32, 48, 3)
    assert read.frame_count == 30
    (tmp_path / "prompts.jsonl").write_text("[]\n")
    with pytest.raises(ValueError, match="video and a prompt"):
        list(videos_in(tmp_path))
