"""The embedded captioner's captions of drawn pictures and of frames of real videos."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from internvid.captions.measured import MeasuringCaptioner

REAL_VIDEOS = Path(__file__).parents[4] / "shared" / "videos" / "open"

BLUE, GREEN, RED, GREY = (30, 60, 220), (20, 160, 40), (210, 20, 20), (128, 128, 128)


@pytest.fixture(scope="module")
def captioner() -> MeasuringCaptioner:
    return MeasuringCaptioner()


def plain(colour: tuple[int, int, int], height: int = 360, width: int = 640) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def sand(seed: int = 0, deviation: float = 20) -> np.ndarray:
    """A grey picture with noise, [360, 640, 3]."""
    noise = np.random.default_rng(seed).normal(128, deviation, (360, 640, 1))
    return np.repeat(noise.clip(0, 255).astype(np.uint8), 3, axis=2)


def frames_of(name: str, *, max_frames: int = 4, frames_per_second: int = 1) -> list[np.ndarray]:
    """Frames of a real video, one or more a second, RGB with the short side at most 384."""
    path = REAL_VIDEOS / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    frames: list[np.ndarray] = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.time is not None and frame.time * frames_per_second >= len(frames):
                scale = min(1.0, 384 / min(frame.width, frame.height))
                picture = frame.to_ndarray(format="rgb24")
                frames.append(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
            if len(frames) == max_frames:
                break
    return frames


def kinds(captioner: MeasuringCaptioner, *frames: np.ndarray) -> set[str]:
    """The kinds of phrase in the captions of any of the frames."""
    captions = captioner.caption(frames)
    return {phrase["kind"] for caption in captions for phrase in json.loads(caption.evidence)["phrases"]}


def captions_of(captioner: MeasuringCaptioner, *frames: np.ndarray) -> list[str]:
    return [caption.caption for caption in captioner.caption(frames)]


@pytest.mark.parametrize(
    ("colour", "caption"),
    [
        ((0, 0, 0), "A black frame."),
        ((20, 20, 20), "A black frame."),
        ((255, 255, 255), "A blank white frame."),
        ((128, 128, 128), "A blank grey frame."),
        (BLUE, "A blank blue frame."),
        (RED, "A blank red frame."),
        ((250, 230, 30), "A blank yellow frame."),
    ],
    ids=str,
)
def test_an_empty_frame_is_called_empty_and_nothing_more(captioner, colour, caption):
    assert captions_of(captioner, plain(colour)) == [caption]


def test_colours_are_named_where_they_are(captioner):
    stacked = np.vstack([plain(BLUE, 180), plain(GREEN, 180)])
    beside = np.hstack([plain(GREEN, width=320), plain(BLUE, width=320)])
    assert captions_of(captioner, stacked, beside) == [
        "A flat picture, mostly blue at the top and green at the bottom.",
        "A flat picture, mostly green at the left and blue at the right.",
    ]


def test_light_and_texture_are_told_apart(captioner):
    bright, dark = sand(deviation=25).astype(np.int16) + 80, sand(deviation=25).astype(np.int16) - 80
    captions = captions_of(captioner, bright.clip(0, 255).astype(np.uint8), dark.clip(0, 255).astype(np.uint8), sand())
    assert captions == [
        "A bright, textured picture in shades of grey.",
        "A dark, textured picture in shades of grey.",
        "A textured picture in shades of grey.",
    ]


def test_a_grey_picture_is_in_shades_of_grey_and_one_coloured_object_ends_that(captioner):
    picture = plain((90, 90, 90))
    cv2.rectangle(picture, (0, 0), (320, 360), (160, 160, 160), -1)
    (before,) = captions_of(captioner, picture)
    cv2.circle(picture, (320, 180), 60, RED, -1)
    (after,) = captions_of(captioner, picture)
    assert "in shades of grey" in before
    assert "shades" not in after
    assert "a round red region near the centre" in after


@pytest.mark.parametrize(
    ("centre", "place"),
    [
        ((90, 180), "at the left"),
        ((550, 180), "at the right"),
        ((320, 60), "at the top"),
        ((320, 300), "at the bottom"),
        ((320, 180), "near the centre"),
        ((90, 60), "at the top left"),
        ((550, 300), "at the bottom right"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_disc_is_round_and_stands_where_it_was_drawn(captioner, centre, place):
    picture = plain((200, 200, 200))
    cv2.circle(picture, centre, 40, RED, -1)
    assert captions_of(captioner, picture) == [f"A bright, flat, mostly white picture with a round red region {place}."]


def test_shape_words_need_the_shape(captioner):
    pictures = [plain((180, 180, 180)) for _ in range(4)]
    cv2.rectangle(pictures[0], (280, 140), (360, 220), BLUE, -1)
    cv2.rectangle(pictures[1], (200, 140), (440, 220), BLUE, -1)
    cv2.ellipse(pictures[2], (320, 180), (110, 50), 0, 0, 360, BLUE, -1)
    cv2.circle(pictures[3], (10, 180), 60, BLUE, -1)  # cut by the edge: its shape is not seen
    regions = [caption.split(" with ")[1] for caption in captions_of(captioner, *pictures)]
    assert regions == [
        "a square blue region near the centre.",
        "a blue region near the centre.",
        "a blue region near the centre.",
        "a blue region at the left.",
    ]


def test_a_ragged_patch_and_a_faint_one_are_no_regions(captioner):
    star, faint = plain((200, 200, 200)), plain((200, 200, 200))
    turns = np.arange(10) * np.pi / 5
    reach = np.where(np.arange(10) % 2, 35, 100)
    points = np.stack([320 + reach * np.sin(turns), 180 - reach * np.cos(turns)], axis=1)
    cv2.fillPoly(star, [points.astype(np.int32)], RED)
    cv2.circle(faint, (320, 180), 60, (225, 190, 190), -1)
    assert "region" not in kinds(captioner, star, faint)


def test_several_regions_are_counted(captioner):
    picture = plain((200, 200, 200))
    for x in (120, 320, 520):
        cv2.rectangle(picture, (x - 30, 120), (x + 30, 240), RED, -1)
    assert "with three red regions." in captions_of(captioner, picture)[0]


@pytest.mark.parametrize("scale", [0.6, 1.0, 2.0], ids="letters x{}".format)
@pytest.mark.parametrize(("ground", "ink"), [((40, 40, 60), 230), ((215, 215, 200), 20)], ids=["light", "dark"])
def test_a_line_of_letters_is_read_where_it_stands(captioner, scale, ground, ink):
    picture = plain(ground)
    thickness = max(1, round(scale * 2))
    cv2.putText(
        picture, "Bake the bread", (40, 330), cv2.FONT_HERSHEY_DUPLEX, scale, (ink,) * 3, thickness, cv2.LINE_AA
    )
    (caption,) = captioner.caption([picture])
    assert re.search('text "Bake the ?bread" at the bottom', caption.caption), caption.caption
    (text,) = [phrase for phrase in json.loads(caption.evidence)["phrases"] if phrase["kind"] == "text"]
    assert text["measure"]["read"][0]["confidence"] > 0.9


def test_letters_that_cannot_be_read_are_text_without_words(captioner):
    picture = plain((40, 40, 60))
    for index, x in enumerate(range(60, 580, 26)):  # strokes of one width and height that are no letters of any script
        points = np.add(np.random.default_rng(index).integers(0, 20, (4, 2)), (x, 300))
        cv2.polylines(picture, [points.astype(np.int32)], False, (230, 230, 230), 3, cv2.LINE_AA)
    (caption,) = captions_of(captioner, picture)
    assert '"' not in caption


def test_bars_windows_and_a_few_letters_are_not_text(captioner):
    bars, windows, panes, initials = (plain((60, 60, 60)) for _ in range(4))
    for x in range(40, 600, 24):
        cv2.rectangle(bars, (x, 150), (x + 4, 190), (230, 230, 230), -1)
        cv2.rectangle(windows, (x, 150), (x + 14, 168), (230, 230, 230), -1)
        cv2.rectangle(panes, (x, 150), (x + 14, 170), (230, 230, 230), 2)
        cv2.line(panes, (x, 153 + x % 14), (x + 14, 153 + x % 14), (230, 230, 230), 1 + x % 3)
    cv2.putText(initials, "ABC", (200, 200), cv2.FONT_HERSHEY_DUPLEX, 1.5, (230, 230, 230), 2, cv2.LINE_AA)
    assert "text" not in kinds(captioner, bars, windows, panes, initials)


def test_noise_has_no_faces_no_text_and_no_regions(captioner):
    rng = np.random.default_rng(7)
    frames = [sand(seed, deviation) for seed, deviation in enumerate((10, 30, 60))]
    for blur in (1, 2, 4):
        coloured = cv2.GaussianBlur(rng.integers(0, 256, (360, 640, 3), dtype=np.uint8), (0, 0), blur)
        stretched = np.zeros_like(coloured)
        frames.append(cv2.normalize(coloured, stretched, 0, 255, cv2.NORM_MINMAX))
    assert kinds(captioner, *frames) <= {"light", "surface", "colours", "palette", "layout"}


@pytest.mark.parametrize("name", ["grid_bbaf2n.mpg", "grid_lwbsza.mpg", "intel_asl_book.mkv", "intel_asl_no.mkv"])
def test_a_real_face_is_one_face(captioner, name):
    captions = captions_of(captioner, *frames_of(name))
    assert all("one face" in caption for caption in captions), captions


@pytest.mark.parametrize(
    "name",
    ["intel_bottles.mp4", "intel_cars_overhead.mp4", "sam2_cups_shuffle.mp4", "sam2_coffee_pour.mp4",
     "tractor_vp9.webm", "shuttle_vp8.webm", "apollo15_hammer_feather.webm", "pexels_skateboard.mp4",
     "sam2_football_juggle.mp4"],
)  # fmt: skip
def test_where_no_face_and_no_writing_is_none_is_said(captioner, name):
    assert not kinds(captioner, *frames_of(name, max_frames=10, frames_per_second=2)) & {"face", "text"}


def test_a_poster_and_a_roof_that_one_cascade_takes_for_faces_are_none(captioner):
    assert "face" not in kinds(captioner, *frames_of("bikes_city_cuts.mp4", max_frames=50, frames_per_second=5))


def test_real_frames_are_described_by_what_was_measured(captioner):
    cups, chaplin = frames_of("sam2_cups_shuffle.mp4", max_frames=1), frames_of("chaplin_bw.mp4", max_frames=1)
    titled = frames_of("psd_testvideo_nature.mp4", max_frames=8)[-1:]
    assert captions_of(captioner, *cups, *chaplin) == [
        "A picture with three red regions.",
        "A picture in shades of grey.",
    ]
    (caption,) = captions_of(captioner, *titled)
    assert 'text "Copyright © 2013 Brandon Castellano" and "www.bcastell.com" at the bottom' in caption


def test_every_phrase_of_the_evidence_stands_in_the_caption_with_its_numbers(captioner):
    frames = [sand(), plain((0, 0, 0)), *frames_of("grid_bbaf2n.mpg"), *frames_of("tractor_vp9.webm")]
    for caption in captioner.caption(frames):
        phrases = json.loads(caption.evidence)["phrases"]
        assert phrases
        for phrase in phrases:
            assert phrase["text"] in caption.caption
            assert phrase["text"] == f"{phrase['thing']} {phrase['place']}".strip()
            assert phrase["measure"]


def test_a_caption_depends_on_its_frame_alone(captioner):
    frames = [sand(), plain(BLUE), *frames_of("intel_asl_book.mkv", max_frames=2)]
    together = captioner.caption(frames)
    alone = [MeasuringCaptioner().caption([frame])[0] for frame in reversed(frames)]
    travelled = pickle.loads(pickle.dumps(captioner)).caption(frames)
    assert together == alone[::-1] == travelled


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 300, 3), (300, 2, 3), (2000, 1500, 3)], ids=str)
def test_any_size_is_captioned(captioner, shape):
    picture = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    assert captioner.caption([picture])[0].caption.startswith("A ")


@pytest.mark.parametrize(
    "picture",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32),
     np.zeros((0, 4, 3), np.uint8)],
    ids=["grey", "alpha", "float", "empty"],
)  # fmt: skip
def test_what_is_not_an_rgb_picture_is_refused(captioner, picture):
    with pytest.raises(ValueError, match="expected a picture"):
        captioner.caption([picture])


def test_no_frames_no_captions(captioner):
    assert captioner.caption([]) == []
