"""The embedded captioner: describes in plain English what it measures in a single picture, and nothing else.

Belongs here: what can be measured in one frame, the words for it, and the numbers behind each word. Does not belong
here: merging the captions of a clip's frames (`summary`), measuring movement (`internvid.video.measures`).

It knows no objects. It says "one face" because OpenCV's face detectors found a face, "a round red region" because such
a patch of colour was measured, and "text" because evenly sized marks stand in a row; it quotes what PP-OCR reads there.
It never says "a man", "a ball" or "a sign". Where a measurement is not clear, the caption says nothing: a missed face
makes a caption shorter, a false face makes it wrong.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from internvid.text.generated import Status

if TYPE_CHECKING:
    import cv2

    from internvid.captions.written_text import TextReader

MODEL = "embedded-measurements"
# Count it up with any change to the captions: frames that were captioned before are then captioned again.
VERSION = "embedded-measurements 2 (faces, text that is read, regions, colours, light, texture)"

# Long side, in pixels, at which faces are detected. At 320, one in six of the faces in the real frames tested is lost.
_FACE_LONG_SIDE = 480
_MIN_FACE = 30  # pixels at that size: below it the cascades fire on foliage and machinery
_FACE_SCALE_STEP = 1.25  # 1.1 takes two to three times as long for the same videos with a face
_FACE_NEIGHBOURS = 2
# Number of windows of a second cascade that agree on a face that is enlarged to 120 pixels. Among the faces that the
# first cascade detects in 629 real frames, upright, upside down and on their side, true ones have 35 or more (or, when
# blurred, 8 or more and two eyes); false ones have 27 at most and never two eyes. With these limits the frames yield no
# false face upright or mirrored, none on their side, and one upside down.
_FACE_SUPPORT = 32
_FACE_SUPPORT_WITH_EYES = 8

_COLOUR_LONG_SIDE = 240  # enough for the outline of a region of half a percent of the picture, 14 pixels across

_COLOURS = (
    "black", "grey", "white", "red", "orange", "brown", "beige", "yellow", "green", "turquoise", "blue", "purple",
    "pink",
)  # fmt: skip
# Regions are reported in these: black, grey, brown and beige patches are mostly shadow, ground and wall.
_REGION_COLOURS = ("red", "orange", "yellow", "green", "turquoise", "blue", "purple", "pink", "white")

_MIN_REGION, _MAX_REGION = 0.006, 0.3  # shares of the picture
_MIN_CONTRAST = 45  # distance of mean colours in 8-bit Lab, where black and white are 255 apart

_NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}


@dataclass(frozen=True)
class FrameCaption:
    """A caption of a frame, and the evidence for each of its phrases.

    `evidence`: JSON, None where the model gives none. `status`, `prompt_tokens`, `output_tokens`: as of `Generated`.
    The embedded captioner's evidence is {"phrases": [{"kind", "about", "thing", "place", "text", "measure"}, …]}:
    `text` stands in the caption word for word; `thing` and `place` are its two parts ("one face", "near the centre";
    `place` may be empty); phrases of two frames with the same `about` describe the same sort of thing ("face", "region
    red"); `measure` holds numbers. Positions are shares of the picture's width and height, areas shares of the picture,
    luma and colour differences are in 0…255.
    """

    caption: str
    evidence: str | None
    status: Status = "success"
    prompt_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True)
class _Phrase:
    """A part of a caption, with the measurement behind it."""

    kind: str  # blank, light, surface, colours, palette, layout, face, region, text
    thing: str
    measure: dict[str, Any] = field(default_factory=dict)
    place: str = ""
    about: str = ""  # the topic: stays the same when the thing changes from frame to frame; empty: the kind

    @property
    def text(self) -> str:
        return f"{self.thing} {self.place}".strip()


class MeasuringCaptioner:
    """Captions pictures from measurements alone: no weights to fetch, no accelerator, the same words every time.

    One instance serves one thread: OpenCV's cascades keep state while they run. It can be pickled, and loads its
    cascades again after unpickling.
    """

    model: str
    version: str

    def __init__(self) -> None:
        from importlib.metadata import version

        self.model = MODEL
        from internvid.captions import written_text

        self.version = f"{VERSION}, opencv {version('opencv-python-headless')}, {written_text.VERSION}"
        self._cascades: list[cv2.CascadeClassifier] = []
        self._reader: TextReader | None = None  # loaded with the first text: half a second, 100 MB

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cascades": [], "_reader": None}

    def caption(self, frames: Sequence[np.ndarray]) -> list[FrameCaption]:
        """Captions each frame from that frame alone.

        frames: each [height, width, 3] uint8, RGB, of any size. Raises ValueError for any other array.
        """
        return [self._caption_one(frame) for frame in frames]

    def _caption_one(self, frame: np.ndarray) -> FrameCaption:
        import cv2

        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or 0 in frame.shape:
            raise ValueError(f"expected a picture [height, width, 3] of uint8, got {frame.shape} of {frame.dtype}")
        frame = np.ascontiguousarray(frame)
        luma = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)  # [height, width]
        small = _shrink(frame, _COLOUR_LONG_SIDE)
        names = _name_colours(small)
        blank = _blank(frame, luma, names)
        if blank is not None:
            return _compose([blank])
        faces = self._faces(luma)
        return _compose(
            [
                *_light(luma),
                *_surface(luma),
                *_colours(small, names),
                *_face_phrases(faces),
                *_regions(small, names, faces),
                *self._text(frame, luma),
            ]
        )

    def _text(self, frame: np.ndarray, luma: np.ndarray) -> list[_Phrase]:
        """Returns "text" with its place where letters stand, and quotes what is surely read there."""
        rows = _rows_of_letters(luma)
        if not rows:
            return []
        if self._reader is None:
            from internvid.captions.written_text import TextReader

            self._reader = TextReader()
        top, bottom = _band(rows)
        height = len(frame)
        lines = self._reader.lines(frame[int(top * height) : max(int(top * height) + 1, round(bottom * height))])
        return [_text_phrase(rows, lines)]

    def _faces(self, luma: np.ndarray) -> list[tuple[float, float, float, float]]:
        """Detects faces turned to the camera: (left, top, width, height) in shares of the picture, from left to right.

        OpenCV's upper-body, full-body and profile cascades are not used: on the real frames they detect people in cups,
        shuttles and spacesuits, and the profile cascade adds only faces that the frontal cascades detect too.
        """
        import cv2

        if not self._cascades:
            folder = cv2.data.haarcascades  # type: ignore[attr-defined]
            names = ("frontalface_alt2", "frontalface_alt", "eye_tree_eyeglasses")
            self._cascades = [cv2.CascadeClassifier(f"{folder}haarcascade_{name}.xml") for name in names]
        find, confirm, eyes = self._cascades
        picture = _shrink(luma, _FACE_LONG_SIDE)
        height, width = picture.shape
        boxes = find.detectMultiScale(
            picture, scaleFactor=_FACE_SCALE_STEP, minNeighbors=_FACE_NEIGHBOURS, minSize=(_MIN_FACE, _MIN_FACE)
        )
        faces = []
        for left, top, across, down in boxes:
            margin, scale = across // 3, 120 / across
            around = picture[max(0, top - margin) : top + down + margin, max(0, left - margin) : left + across + margin]
            around = cv2.resize(around, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
            support = len(confirm.detectMultiScale(around, scaleFactor=1.05, minNeighbors=0, minSize=(84, 84)))
            if support < _FACE_SUPPORT_WITH_EYES:
                continue
            upper = picture[top : top + int(down * 0.6), left : left + across]
            upper = cv2.resize(upper, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
            if support >= _FACE_SUPPORT or len(eyes.detectMultiScale(upper, 1.05, 3, minSize=(18, 18))) >= 2:
                faces.append((left / width, top / height, across / width, down / height))
        return sorted((float(a), float(b), float(c), float(d)) for a, b, c, d in faces)


def _compose(phrases: list[_Phrase]) -> FrameCaption:
    """Composes a sentence that holds every phrase word for word, and the evidence that lists the phrases."""
    words = noun_phrase([(p.kind, p.text) for p in phrases])
    evidence = {
        "phrases": [
            {"kind": p.kind, "about": p.about or p.kind, "thing": p.thing, "place": p.place, "text": p.text,
             "measure": p.measure}
            for p in phrases
        ]
    }  # fmt: skip
    return FrameCaption(f"{words[0].upper()}{words[1:]}.", json.dumps(evidence, sort_keys=True))


def noun_phrase(phrases: Sequence[tuple[str, str]]) -> str:
    """Joins phrases to a noun phrase: "a bright, mostly blue picture with one face near the centre".

    phrases: (kind, text) of each. Every text stands in the result word for word.
    """

    def texts(*kinds: str) -> list[str]:
        return [text for wanted in kinds for kind, text in phrases if kind == wanted]

    words = " ".join(["a", ", ".join(texts("light", "surface", "colours")), "picture"]).replace("  ", " ")
    if blanks := texts("blank"):
        words = join_with_and([f"a {text}" for text in blanks])
    for text in texts("palette", "layout"):
        words += f" {text}" if text.startswith("in ") else f", {text},"
    if things := texts("face", "region", "text"):
        words += f" with {join_with_and(things)}"
    return words.rstrip(",")


def join_with_and(parts: Sequence[str]) -> str:
    """Joins parts as English lists them: "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def _shrink(picture: np.ndarray, long_side: int) -> np.ndarray:
    """Shrinks a picture to a long side of `long_side` pixels; never enlarges it."""
    import cv2

    height, width = picture.shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _place(x: float, y: float) -> str:
    """Describes where a point of the picture is. x, y: shares of its width and height."""
    across = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
    down = "top" if y < 1 / 3 else "bottom" if y > 2 / 3 else ""
    return f"at the {down} {across}".replace("  ", " ").strip() if across or down else "near the centre"


def _percentile(values: np.ndarray, percent: float) -> float:
    """The smallest of the uint8 values that `percent` % of them do not exceed; ten times as fast as numpy's."""
    return float(np.searchsorted(np.cumsum(np.bincount(values.ravel(), minlength=256)), values.size * percent / 100))


def _rounded(**numbers: float) -> dict[str, float]:
    return {name: round(float(number), 3) for name, number in numbers.items()}


# ---------------------------------------------------------------------------------------------- light and texture


def _blank(frame: np.ndarray, luma: np.ndarray, names: np.ndarray) -> _Phrase | None:
    """Returns "black frame" or "blank <colour> frame" for a picture with nothing to see, else None."""
    import cv2

    brightest = _percentile(luma, 99.5)
    if brightest < 40:  # the black frames tested measure 10 at most, the darkest others 61
        return _Phrase("blank", "black frame", _rounded(luma_995th_percentile=brightest))
    spread = float(cv2.meanStdDev(frame)[1].max())
    if spread < 4:
        colour = _COLOURS[np.bincount(names.ravel(), minlength=len(_COLOURS)).argmax()]
        return _Phrase("blank", f"blank {colour} frame", _rounded(largest_channel_deviation=spread))
    return None


def _light(luma: np.ndarray) -> list[_Phrase]:
    mean = float(luma.mean())
    word = "dark" if mean < 64 else "bright" if mean > 165 else ""
    return [_Phrase("light", word, _rounded(luma_mean=mean))] if word else []


def _surface(luma: np.ndarray) -> list[_Phrase]:
    """Returns "flat" or "textured", by the share of small blocks in which brightness varies."""
    import cv2

    picture = _shrink(luma, 320).astype(np.float32)
    mean = cv2.blur(picture, (7, 7))
    deviation = np.sqrt(np.maximum(cv2.blur(picture * picture, (7, 7)) - mean * mean, 0))
    textured_share = float((deviation > 8).mean())
    word = "flat" if textured_share < 0.15 else "textured" if textured_share > 0.7 else ""
    return [_Phrase("surface", word, _rounded(textured_share=textured_share))] if word else []


# --------------------------------------------------------------------------------------------------------- colours


def _name_colours(picture: np.ndarray) -> np.ndarray:
    """Returns the index in `_COLOURS` of each pixel's colour: [height, width, 3] uint8 RGB to [height, width] uint8."""
    import cv2

    hue, saturation, value = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV_FULL))
    degrees = hue.astype(np.float32) * (360 / 256)
    chroma = saturation.astype(np.int32) * value // 255
    neutral = chroma < 26
    warm = (degrees < 50) | (degrees >= 345)
    choices: list[tuple[np.ndarray, str]] = [
        (value < 48, "black"),
        (neutral & (value > 190), "white"),
        (neutral & (value > 64), "grey"),
        (neutral, "black"),
        (warm & (degrees < 345) & (degrees >= 14) & (saturation < 110) & (value > 150), "beige"),
        (warm & (degrees < 345) & (degrees >= 14) & ((value < 165) | (saturation < 110)), "brown"),
        (warm & ((degrees < 14) | (degrees >= 345)) & (saturation < 120) & (value > 150), "pink"),
        (warm & ((degrees < 14) | (degrees >= 345)) & (saturation < 120), "brown"),
        ((degrees < 14) | (degrees >= 345), "red"),
        (degrees < 42, "orange"),
        ((degrees < 66) & (value > 150), "yellow"),
        (degrees < 160, "green"),
        (degrees < 188, "turquoise"),
        (degrees < 255, "blue"),
        (degrees < 300, "purple"),
    ]
    named = np.select(
        [condition for condition, _ in choices], [_COLOURS.index(name) for _, name in choices], _COLOURS.index("pink")
    )
    return named.astype(np.uint8)


def _colours(small: np.ndarray, names: np.ndarray) -> list[_Phrase]:
    """Describes the picture's main colours, by halves where the halves differ."""
    chroma_98th = _percentile(small.max(axis=2) - small.min(axis=2), 98)
    if chroma_98th < 16:  # a black-and-white video measures 0, an empty grey road filmed in colour 5 to 10
        return [_Phrase("layout", "in shades of grey", _rounded(chroma_98th_percentile=chroma_98th), about="colours")]
    height, width = names.shape
    for first_half, first_names, second_half, second_names in (
        ("top", names[: height // 2], "bottom", names[height // 2 :]),
        ("left", names[:, : width // 2], "right", names[:, width // 2 :]),
    ):
        (first_colour, first_share), (second_colour, second_share) = map(_main_colour, (first_names, second_names))
        if first_colour != second_colour and min(first_share, second_share) >= 0.6:
            text = f"mostly {first_colour} at the {first_half} and {second_colour} at the {second_half}"
            measure = {
                first_half: _rounded(**{first_colour: first_share}),
                second_half: _rounded(**{second_colour: second_share}),
            }
            return [_Phrase("layout", text, measure, about="colours")]
    main, main_share = _main_colour(names)
    if main_share >= 0.5:
        return [_Phrase("colours", f"mostly {main}", _rounded(**{main: main_share}))]
    shares = np.bincount(names.ravel(), minlength=len(_COLOURS)) / names.size
    # In the order of the palette and not of shares: the order of two similar shares may change from frame to frame.
    first, second = sorted(np.argsort(-shares, kind="stable")[:2])
    if min(shares[first], shares[second]) >= 0.2 and shares[first] + shares[second] >= 0.6:
        pair = {_COLOURS[first]: shares[first], _COLOURS[second]: shares[second]}
        return [_Phrase("colours", f"mainly {_COLOURS[first]} and {_COLOURS[second]}", _rounded(**pair))]
    three = {_COLOURS[index]: shares[index] for index in sorted(np.argsort(-shares, kind="stable")[:3])}
    if min(three.values()) >= 0.1:
        return [_Phrase("palette", f"in {join_with_and(list(three))}", _rounded(**three), about="colours")]
    return []


def _main_colour(names: np.ndarray) -> tuple[str, float]:
    if names.size == 0:
        return "", 0.0
    counts = np.bincount(names.ravel(), minlength=len(_COLOURS))
    return _COLOURS[counts.argmax()], float(counts.max() / names.size)


# ----------------------------------------------------------------------------------------------------------- things


def _face_phrases(faces: list[tuple[float, float, float, float]]) -> list[_Phrase]:
    if not faces:
        return []
    count = len(faces)
    x = float(np.mean([left + across / 2 for left, _, across, _ in faces]))
    y = float(np.mean([top + down / 2 for _, top, _, down in faces]))
    measure = {"count": count, "boxes": [[round(number, 3) for number in face] for face in faces]}
    if count == 1:
        return [_Phrase("face", "one face", measure, _place(x, y))]
    return [_Phrase("face", f"{_NUMBERS.get(count, 'several')} faces", measure)]


@dataclass(frozen=True)
class _Region:
    share: float  # of the picture
    x: float
    y: float
    shape: str  # round, square or empty
    measure: dict[str, float]


def _regions(small: np.ndarray, names: np.ndarray, faces: list[tuple[float, float, float, float]]) -> list[_Phrase]:
    """Describes compact patches of one colour that contrast with their surroundings, of the two strongest colours."""
    import cv2

    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    weighted: list[tuple[float, _Phrase]] = []
    for colour in _REGION_COLOURS:
        mask = (names == _COLOURS.index(colour)).astype(np.uint8)
        if not _MIN_REGION <= mask.mean() <= _MAX_REGION:  # nothing, or the background
            continue
        regions = _compact_regions(mask, lab, faces)
        if not regions:
            continue
        # Small regions are not mentioned beside a large one of the same colour.
        largest = max(region.share for region in regions)
        regions = [region for region in regions if region.share >= largest / 4]
        shapes = {region.shape for region in regions}
        shape = f"{shapes.pop()} " if len(shapes) == 1 and "" not in shapes else ""
        measure = {"count": len(regions), "regions": [region.measure for region in regions]}
        if len(regions) == 1:
            article = "an" if (shape + colour)[0] in "aeiou" else "a"
            thing, place = f"{article} {shape}{colour} region", _place(regions[0].x, regions[0].y)
        else:
            thing, place = f"{_NUMBERS.get(len(regions), 'several')} {shape}{colour} regions", ""
        weight = sum(region.share * region.measure["contrast"] for region in regions)
        weighted.append((weight, _Phrase("region", thing, measure, place, about=f"region {colour}")))
    weighted.sort(key=lambda item: -item[0])
    return [phrase for _, phrase in weighted[:2]]


def _compact_regions(
    mask: np.ndarray, lab: np.ndarray, faces: list[tuple[float, float, float, float]]
) -> list[_Region]:
    """Measures the compact regions of a colour, outside of faces.

    mask: [height, width] uint8, 1 where the picture has the colour. lab: [height, width, 3] float32.
    """
    import cv2

    height, width = mask.shape
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, labels, stats, centres = cv2.connectedComponentsWithStats(mask, connectivity=8)
    regions = []
    shares = stats[:, cv2.CC_STAT_AREA] / mask.size
    for label in np.flatnonzero((shares >= _MIN_REGION) & (shares <= _MAX_REGION)):
        if label == 0:  # the rest of the picture
            continue
        left, top, across, down, area = (int(number) for number in stats[label])
        x, y = float(centres[label][0] + 0.5) / width, float(centres[label][1] + 0.5) / height
        if any(a <= x <= a + c and b <= y <= b + d for a, b, c, d in faces):  # skin and lips are part of the face
            continue
        rows, columns = slice(max(0, top - 7), top + down + 7), slice(max(0, left - 7), left + across + 7)
        region = (labels[rows, columns] == label).astype(np.uint8)
        contour = max(cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=len)
        filled, hull = cv2.contourArea(contour), cv2.contourArea(cv2.convexHull(contour))
        solidity = filled / max(hull, 1.0)
        if solidity < 0.8 or area < 0.7 * filled:  # ragged or full of holes: foliage, not a patch
            continue
        ring = cv2.dilate(region, np.ones((13, 13), np.uint8)) - cv2.dilate(region, np.ones((5, 5), np.uint8))
        if ring.sum() < 20:
            continue
        around = lab[rows, columns]
        contrast = float(np.linalg.norm(around[region > 0].mean(axis=0) - around[ring > 0].mean(axis=0)))
        if contrast < _MIN_CONTRAST:
            continue
        is_whole = left > 0 and top > 0 and left + across < width and top + down < height
        shape, fit = _shape(contour, filled) if is_whole else ("", 0.0)
        share = float(shares[label])
        measure = _rounded(x=x, y=y, share=share, solidity=solidity, contrast=contrast, shape_fit=fit)
        regions.append(_Region(share, x, y, shape, measure))
    return regions


def _shape(contour: np.ndarray, area: float) -> tuple[str, float]:
    """Returns "round", "square" or empty, and the share of the smallest enclosing figure that the outline fills."""
    import cv2

    _, radius = cv2.minEnclosingCircle(contour)
    (_, _), (width, height), _ = cv2.minAreaRect(contour)
    round_fit = area / (np.pi * radius * radius)
    square_fit = area / max(width * height, 1.0)
    long_over_short = max(width, height) / max(min(width, height), 1.0)
    if round_fit > 0.85 and long_over_short < 1.15:  # a square fills 0.64 of its circle, a hexagon 0.83
        return "round", float(round_fit)
    if square_fit > 0.92 and long_over_short < 1.15:  # a circle fills 0.79 of its square
        return "square", float(square_fit)
    return "", float(max(round_fit, square_fit))


def _rows_of_letters(luma: np.ndarray) -> list[dict[str, Any]]:
    """Detects letters: rows of at least six separate marks of one height on one line, with strokes of one width.

    Returns each row's measures: its place in shares of the picture, its number of marks, its stroke.

    The limits separate titles in real frames from rows of windows, stitches and railings. They overlap on purpose:
    stitches fail by height and stroke, windows by uneven strokes and by what stands between the marks. With these
    limits, 629 real frames, upright and on their side, yield no false line.
    """
    import cv2

    picture = _shrink(luma, 640)
    height, width = picture.shape
    rows = []
    for operation in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):  # light marks on dark, dark marks on light
        relief = cv2.morphologyEx(picture, operation, np.ones((15, 15), np.uint8))
        mask = (relief > 45).astype(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        across, down = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]
        fill = stats[:, cv2.CC_STAT_AREA] / (across * down)
        is_mark = (down >= 7) & (down <= height / 5) & (across >= 2) & (across <= 2 * down)
        is_mark &= (fill > 0.2) & (fill < 0.95)
        is_mark[0] = False  # the background
        marks = np.flatnonzero(is_mark)
        marks = marks[np.argsort(stats[marks, cv2.CC_STAT_LEFT], kind="stable")]
        measured_rows = [_letters(row, stats, labels, mask) for row in _rows_of_marks(stats[marks], marks)]
        rows += [row for row in measured_rows if row is not None]
    for row in rows:
        row["x"], row["y"] = row["x"] / width, row["y"] / height
        row["top"], row["bottom"] = row["top"] / height, row["bottom"] / height
    return rows


def _band(rows: list[dict[str, Any]]) -> tuple[float, float]:
    """The part of the picture in which the rows stand, over its whole width: top and bottom, in shares of its height.

    It is taller than the rows by twice their height: letters reach below and above the marks, and a title has lines
    whose marks are not chained.
    """
    tall = max(row["bottom"] - row["top"] for row in rows)
    top, bottom = min(row["top"] for row in rows), max(row["bottom"] for row in rows)
    return max(0.0, top - 2 * tall), min(1.0, bottom + 2 * tall)


def _text_phrase(rows: list[dict[str, Any]], lines: Sequence[tuple[str, float]]) -> _Phrase:
    """Says that text is there, and quotes the lines that were read: (text, confidence)."""
    count = sum(row["marks"] for row in rows)
    x = sum(row["x"] * row["marks"] for row in rows) / count
    y = sum(row["y"] * row["marks"] for row in rows) / count
    measure: dict[str, Any] = {"marks": count, "x": round(x, 3), "y": round(y, 3),
               "stroke_over_height": round(sum(row["stroke"] for row in rows) / len(rows), 3)}  # fmt: skip
    if lines:
        measure["read"] = [{"text": text, "confidence": confidence} for text, confidence in lines]
    quoted = join_with_and([f'"{text}"' for text, _ in lines])
    return _Phrase("text", f"text {quoted}".strip(), measure, _place(x, y))


def _rows_of_marks(boxes: np.ndarray, marks: np.ndarray) -> list[np.ndarray]:
    """Chains six or more neighbouring marks of similar height on one base line.

    boxes: [marks, 5] as OpenCV's stats, from left to right. Loops suffice: most chains end after one mark.
    """
    left, top, across, down, _ = boxes.T.tolist()
    is_used = [False] * len(marks)

    def following(row: list[int]) -> int | None:
        tall = sum(down[mark] for mark in row) / len(row)
        right, bottom = left[row[-1]] + across[row[-1]], top[row[-1]] + down[row[-1]]
        for mark in range(row[-1] + 1, len(marks)):
            gap = left[mark] - right
            if gap >= 1.2 * tall:
                return None
            is_level = abs(top[mark] + down[mark] - bottom) < 0.25 * tall and 0.6 * tall < down[mark] < 1.6 * tall
            if is_level and gap > -0.2 * tall and not is_used[mark]:
                return mark
        return None

    rows = []
    for start in range(len(marks)):
        if is_used[start]:
            continue
        row = [start]
        while (mark := following(row)) is not None:
            row.append(mark)
        if len(row) >= 6:
            for mark in row:
                is_used[mark] = True
            rows.append(marks[row])
    return rows


def _letters(row: np.ndarray, stats: np.ndarray, labels: np.ndarray, mask: np.ndarray) -> dict[str, Any] | None:
    """Measures a row in pixels. Returns None if its marks do not look like letters."""
    import cv2

    left, top, across, down, _ = stats[row].T.astype(np.float64)
    tall = down.mean()
    if (
        tall < 9  # smaller marks have no measurable stroke: the stitches of a jersey
        or down.std() / tall > 0.2
        or across.std() / across.mean() < 0.1  # letters differ in width, railings do not
    ):
        return None
    y0, y1, x0, x1 = (int(edge) for edge in (top.min(), (top + down).max(), left.min(), (left + across).max()))
    box = labels[y0:y1, x0:x1]
    is_own = np.isin(box, row)
    if is_own.sum() < 0.72 * mask[y0:y1, x0:x1].sum():  # among other marks as strong: the panes of a window
        return None
    depth = cv2.distanceTransform(np.pad(is_own.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    strokes = np.array([depth[box == mark].max() for mark in row])
    stroke = float(strokes.mean() / tall)
    if strokes.std() / strokes.mean() > 0.3 or not 0.06 <= stroke <= 0.25:
        return None
    return {"marks": len(row), "x": (x0 + x1) / 2, "y": (y0 + y1) / 2, "top": y0, "bottom": y1, "stroke": stroke}
