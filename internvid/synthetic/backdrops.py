"""Paints procedural backdrops: landscapes, water, streets, walls, slides. Each is a still, larger than the frame."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from internvid.synthetic.plans import Backdrop

Colour = tuple[int, int, int]

# Four tones of each colour, dark to light, RGB. Muted, as in nature: figures are painted in full colours.
TONES: dict[str, tuple[Colour, Colour, Colour, Colour]] = {
    "red": ((52, 14, 14), (120, 40, 34), (172, 78, 62), (222, 150, 128)),
    "orange": ((64, 30, 14), (150, 78, 34), (208, 128, 62), (246, 200, 140)),
    "yellow": ((92, 74, 32), (168, 142, 74), (212, 190, 122), (242, 228, 178)),
    "green": ((20, 38, 18), (54, 86, 38), (98, 130, 62), (164, 186, 116)),
    "blue": ((14, 26, 54), (42, 76, 124), (94, 136, 180), (178, 206, 228)),
    "purple": ((32, 20, 50), (78, 56, 106), (124, 98, 154), (190, 170, 210)),
    "brown": ((36, 24, 16), (88, 64, 44), (138, 106, 76), (196, 168, 134)),
    "grey": ((32, 33, 36), (84, 86, 90), (136, 138, 142), (202, 204, 206)),
    "white": ((168, 172, 178), (206, 210, 214), (232, 234, 236), (252, 252, 252)),
    "black": ((6, 6, 8), (18, 19, 22), (34, 36, 40), (70, 74, 80)),
}

# Sky over a place of each colour, zenith to horizon.
SKIES: dict[str, tuple[Colour, Colour]] = {
    "green": ((86, 138, 200), (206, 224, 236)),
    "orange": ((92, 70, 120), (250, 178, 104)),
    "yellow": ((112, 158, 206), (236, 230, 206)),
    "blue": ((40, 62, 112), (166, 186, 212)),
    "purple": ((44, 34, 84), (216, 142, 152)),
    "white": ((150, 168, 188), (232, 236, 240)),
    "black": ((6, 8, 20), (36, 40, 66)),
}
OVERCAST: tuple[Colour, Colour] = ((128, 142, 160), (214, 218, 222))


def paint_backdrop(backdrop: Backdrop, *, width: int, height: int, seed: list[int]) -> np.ndarray:
    """Paints a backdrop: [height, width, 3] uint8 RGB. Raises ValueError for an unknown pattern or colour."""
    if backdrop.pattern not in PATTERNS:
        raise ValueError(f"no pattern {backdrop.pattern!r}; there are {', '.join(PATTERNS)}")
    if backdrop.colour not in TONES:
        raise ValueError(f"no colour {backdrop.colour!r}; there are {', '.join(TONES)}")
    rng = np.random.default_rng([*seed, backdrop.scene])
    picture = PATTERNS[backdrop.pattern](rng, height, width, backdrop.colour)
    return np.clip(picture, 0, 255).astype(np.uint8)


def fractal_noise(
    rng: np.random.Generator, height: int, width: int, *, cell: float, octaves: int = 5, stretch: float = 1.0
) -> np.ndarray:
    """Makes smooth noise with detail at every scale: [height, width] float32 from 0 to 1.

    cell: size in pixels of the largest blobs. stretch: ratio of their width to their height.
    """
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        size = cell / 2**octave
        rows, columns = max(2, round(height / size) + 1), max(2, round(width / (size * stretch)) + 1)
        grid = rng.random((rows, columns), dtype=np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * 0.55**octave
    low, high = np.percentile(total[::3, ::3], (1, 99)) if height > 2 else (total.min(), total.max())
    return np.clip((total - low) / (high - low + 1e-6), 0, 1).astype(np.float32)


def tint(field: np.ndarray, tones: tuple[Colour, ...]) -> np.ndarray:
    """Colours a field from 0 to 1 in the tones, dark to light: [...] to [..., 3] float32."""
    stops = np.linspace(0, 255, len(tones))
    table = np.stack([np.interp(np.arange(256), stops, [tone[c] for tone in tones]) for c in range(3)], axis=-1)
    return np.take(table.astype(np.float32), (np.clip(field, 0, 1) * 255).astype(np.uint8), axis=0)


def _blend(under: np.ndarray, over: np.ndarray | Colour, alpha: np.ndarray) -> np.ndarray:
    return under + (np.asarray(over, np.float32) - under) * alpha[..., None]


def _sky(rng: np.random.Generator, height: int, width: int, colour: str, *, cloud: float, horizon: float) -> np.ndarray:
    """Paints sky down to the horizon (a fraction of the height), of which clouds cover the share `cloud`."""
    zenith, low = SKIES.get(colour, OVERCAST)
    depth = np.clip(np.linspace(0, 1 / horizon, height, dtype=np.float32), 0, 1)
    sky = np.repeat(tint(depth, (zenith, low))[:, None], width, axis=1)
    puffs = fractal_noise(rng, height, width, cell=height * 0.45, octaves=6, stretch=2.2)
    alpha = np.clip((puffs - (1 - cloud)) * 2.6, 0, 0.92)
    shade = fractal_noise(rng, height, width, cell=height * 0.2, octaves=4, stretch=1.8)
    bright = np.asarray(low, np.float32) * 0.35 + 165
    return _blend(sky, bright * (0.78 + 0.22 * shade)[..., None], alpha)


def _ridge(rng: np.random.Generator, width: int, *, cell: float, octaves: int = 5) -> np.ndarray:
    """Makes the skyline of a hill: [width] float32 from 0 to 1."""
    return fractal_noise(rng, 2, width, cell=cell, octaves=octaves)[0]


def _landscape(rng: np.random.Generator, height: int, width: int, colour: str) -> np.ndarray:
    tones, haze = TONES[colour], SKIES.get(colour, OVERCAST)[1]
    picture = _sky(rng, height, width, colour, cloud=0.5, horizon=0.55)
    rows = np.arange(height, dtype=np.float32)[:, None]
    for base, rise, distance in ((0.5, 0.26, 0.62), (0.6, 0.18, 0.34), (0.68, 0.1, 0.08)):
        line = (base - rise * _ridge(rng, width, cell=height * (0.4 + distance), octaves=6)) * height
        texture = fractal_noise(rng, height, width, cell=height * 0.1, octaves=5, stretch=1.5)
        hill = tint(0.1 + 0.6 * texture, tones)
        hill += (np.asarray(haze, np.float32) - hill) * distance
        picture = _blend(picture, hill, np.clip(rows - line, 0, 1))
    # The ground in the foreground.
    meadow = 0.62 * fractal_noise(rng, height, width, cell=height * 0.16, octaves=6, stretch=4)
    meadow += 0.38 * fractal_noise(rng, height, width, cell=6, octaves=2)
    line = (0.72 - 0.05 * _ridge(rng, width, cell=height)) * height
    picture = _blend(picture, tint(0.25 + 0.6 * meadow, tones), np.clip((rows - line) / 2, 0, 1))
    canvas = picture.astype(np.uint8)
    for _ in range(max(5, int(7 * width / height))):
        x, depth = rng.integers(0, width), rng.random() ** 2
        _tree(canvas, rng, int(x), int(height * (0.70 + 0.1 * depth)), height * (0.05 + 0.16 * depth), tones)
    return canvas.astype(np.float32)


def _tree(
    canvas: np.ndarray, rng: np.random.Generator, x: int, foot: int, tall: float, tones: tuple[Colour, ...]
) -> None:
    """Paints a fir. tall: height in pixels. (x, foot): where it stands."""
    half_trunk = int(tall * 0.04)
    cv2.rectangle(canvas, (x - half_trunk, foot - int(tall * 0.3)), (x + half_trunk, foot), (58, 42, 30), -1)
    for level in range(4):
        top, half = foot - tall * (1 - 0.2 * level), tall * (0.13 + 0.07 * level)
        shade = np.asarray(tones[0], np.float32) * (0.8 + 0.5 * rng.random())
        corners = np.array([[x, top], [x - half, top + tall * 0.3], [x + half, top + tall * 0.3]])
        cv2.fillPoly(canvas, [(corners * 8).astype(np.int32)], [float(v) for v in shade], cv2.LINE_AA, 3)


def _clouds(rng: np.random.Generator, height: int, width: int, colour: str) -> np.ndarray:
    return _sky(rng, height, width, colour, cloud=0.72, horizon=1.0)


def _water(rng: np.random.Generator, height: int, width: int, colour: str) -> np.ndarray:
    picture = _sky(rng, height, width, colour, cloud=0.45, horizon=0.38)
    waves = fractal_noise(rng, height, width, cell=height * 0.05, octaves=4, stretch=5)
    swell = fractal_noise(rng, height, width, cell=height * 0.3, octaves=3, stretch=4)
    surface = tint(0.1 + 0.5 * waves + 0.3 * swell, TONES[colour])
    glints = np.clip((waves - 0.82) * 6, 0, 1) * 0.8
    surface = _blend(surface, (246, 246, 238), glints)
    rows = np.arange(height, dtype=np.float32)[:, None] + np.zeros((1, width), np.float32)
    picture = _blend(picture, surface, np.clip(rows - 0.38 * height, 0, 1))
    island = (0.385 - 0.08 * np.clip(_ridge(rng, width, cell=height * 0.5) * 2 - 1, 0, 1)) * height
    return _blend(picture, TONES[colour][0], np.clip(rows - island, 0, 1) * (rows < 0.387 * height))


def _forest(rng: np.random.Generator, height: int, width: int, colour: str) -> np.ndarray:
    tones = TONES[colour]
    leaves = 0.6 * fractal_noise(rng, height, width, cell=height * 0.2) + 0.4 * fractal_noise(
        rng, height, width, cell=9, octaves=2
    )
    canvas = tint(0.25 + 0.75 * leaves, tones)
    bark = fractal_noise(rng, height, width, cell=height * 0.2, octaves=5, stretch=0.12)
    columns = np.arange(width, dtype=np.float32)[None, :]
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    for near in sorted(rng.random(int(9 * width / height)).tolist()):  # the farthest trunks first
        half, foot, lean = height * (0.012 + 0.05 * near**2), rng.random() * width, rng.normal(0, 0.06) * height
        strip = np.s_[:, max(0, int(foot - half - abs(lean))) : int(foot + half + abs(lean)) + 1]
        across = (columns[strip] - foot - (rows - 0.5) * lean) / half
        trunk = tint(0.1 + 0.4 * bark[strip] + 0.14 * (across + 1), TONES["brown"])
        trunk = trunk * (0.35 + 0.65 * near) + np.asarray(tones[2], np.float32) * 0.52 * (1 - near)
        stands = np.clip((1 - np.abs(across)) * half, 0, 1) * (rows < 0.62 + 0.33 * near)
        canvas[strip] = _blend(canvas[strip], trunk, stands)
    floor = tint(fractal_noise(rng, height, width, cell=10, octaves=3, stretch=2), tones[:3])
    return _blend(canvas, floor, np.clip((rows - 0.8) * 5, 0, 0.8) * np.ones_like(columns))


def _city(rng: np.random.Generator, height: int, width: int, colour: str) -> np.ndarray:
    tones, night = TONES[colour], colour in ("black", "blue", "purple")
    canvas = _sky(rng, height, width, colour, cloud=0.35, horizon=0.8).astype(np.uint8)
    for layer, (low, high) in enumerate(((0.25, 0.5), (0.4, 0.75))):
        x = -int(rng.integers(0, 40))
        while x < width:
            wide = int(height * rng.uniform(0.14, 0.34))
            top = int(height * (1 - rng.uniform(low, high)))
            wall = np.asarray(tones[1 + (layer == 0)], np.float32) * rng.uniform(0.65, 1.15)
            cv2.rectangle(canvas, (x, top), (x + wide, height), [float(v) for v in wall], -1)
            cv2.line(canvas, (x, top), (x, height), [float(v) * 0.6 for v in wall], 2, cv2.LINE_AA)
            step = max(6, int(height * rng.uniform(0.035, 0.055)))
            lamps = rng.random((height // step + 1, wide // step + 1))
            for row in range(1, (height - top) // step):
                for column in range((wide - 4) // step):
                    lit = lamps[row, column] < (0.4 if night else 0.15)
                    pane = (250, 214, 132) if lit else tuple(float(v) * (0.45 if night else 0.7) for v in wall)
                    left, up = x + 4 + column * step, top + row * step
                    cv2.rectangle(canvas, (left, up), (left + step // 2, up + int(step * 0.6)), pane, -1)
            x += wide + int(rng.integers(0, 12))
    road = int(height * 0.9)
    middle = (road + height) // 2
    cv2.rectangle(canvas, (0, road), (width, height), (46, 47, 50), -1)
    for dash in range(0, width, 48):
        cv2.rectangle(canvas, (dash, middle), (dash + 24, middle + 2), (206, 206, 206))
    return canvas.astype(np.float32) * _dirt(rng, height, width, 0.16)


def _dirt(rng: np.random.Generator, height: int, width: int, depth: float) -> np.ndarray:
    """Makes uneven light and wear: factors around 1, [height, width, 1]."""
    wear = 0.6 * fractal_noise(rng, height, width, cell=height * 0.4) + 0.4 * fractal_noise(
        rng, height, width, cell=5, octaves=2
    )
    return (1 - depth + 2 * depth * wear)[..., None]


def _bricks(rng: np.random.Generator, height: int, width: int, colour: str) -> np.ndarray:
    tones = TONES[colour]
    canvas = np.full((height, width, 3), tones[3], np.uint8)
    tall, wide = max(8, height // 16), max(18, height // 7)
    for row in range(height // tall + 1):
        for column in range(-1, width // wide + 1):
            x = column * wide + (row % 2) * wide // 2
            brick = tint(np.asarray(0.25 + 0.4 * rng.random()), tones)
            corner, opposite = (x + 1, row * tall + 1), (x + wide - 2, row * tall + tall - 2)
            cv2.rectangle(canvas, corner, opposite, [float(v) for v in brick], -1)
    return canvas.astype(np.float32) * _dirt(rng, height, width, 0.3)


def _wood(rng: np.random.Generator, height: int, width: int, colour: str) -> np.ndarray:
    rings = fractal_noise(rng, height, width, cell=height * 0.12, octaves=5, stretch=9)
    fine = fractal_noise(rng, height, width, cell=4, octaves=2, stretch=12)
    board = np.arange(height) // max(1, height // 5)
    tone = rng.uniform(-0.12, 0.12, int(board.max()) + 1).astype(np.float32)[board][:, None]
    seam = 1 - 0.6 * ((np.arange(height) % max(1, height // 5)) < 2)[:, None, None]
    return tint(0.2 + 0.45 * rings + 0.2 * fine + tone, TONES[colour]) * seam


def _sand(rng: np.random.Generator, height: int, width: int, colour: str) -> np.ndarray:
    dunes = fractal_noise(rng, height, width, cell=height * 0.5, octaves=3, stretch=2)
    ripples = 0.5 + 0.5 * np.sin(np.linspace(0, height / 3.2, height, dtype=np.float32)[:, None] + dunes * 24)
    grains = rng.random((height, width), dtype=np.float32)
    return tint(0.25 + 0.4 * dunes + 0.18 * ripples + 0.15 * grains, TONES[colour])


def _grass(rng: np.random.Generator, height: int, width: int, colour: str) -> np.ndarray:
    blades = fractal_noise(rng, height, width, cell=12, octaves=3, stretch=0.3)
    patches = fractal_noise(rng, height, width, cell=height * 0.4)
    return tint(0.1 + 0.5 * blades + 0.35 * patches, TONES[colour])


def _room(rng: np.random.Generator, height: int, width: int, colour: str) -> np.ndarray:
    tones = TONES[colour]
    wall = tint(0.55 + 0.18 * fractal_noise(rng, height, width, cell=height * 0.6), tones)
    canvas = (wall * _dirt(rng, height, width, 0.08)).clip(0, 255).astype(np.uint8)
    floor = int(height * 0.8)
    canvas[floor:] = _wood(rng, height - floor, width, "brown").clip(0, 255).astype(np.uint8)
    cv2.rectangle(canvas, (0, floor - 5), (width, floor), (226, 222, 214), -1)
    # A window onto a landscape and a shelf of books: the seed decides the side.
    side = rng.random() < 0.5
    left, top = int(width * (0.08 if side else 0.68)), int(height * 0.14)
    wide, tall = int(height * 0.42), int(height * 0.44)
    view = _landscape(rng, tall, wide, "green").clip(0, 255).astype(np.uint8)
    canvas[top : top + tall, left : left + wide] = view[:, : max(0, width - left)]
    for x in (left, left + wide // 2, left + wide):
        cv2.line(canvas, (x, top), (x, top + tall), (238, 236, 230), 5, cv2.LINE_AA)
    for y in (top, top + tall // 2, top + tall):
        cv2.line(canvas, (left, y), (left + wide, y), (238, 236, 230), 5, cv2.LINE_AA)
    if width <= height:
        return canvas.astype(np.float32)  # no room for a shelf beside the window
    shelf = int(width * (0.66 if side else 0.06))
    for level in (0.34, 0.54):
        base, x = int(height * level), shelf
        while x < shelf + int(height * 0.44):
            thick, book = int(rng.integers(5, 12)), int(height * rng.uniform(0.08, 0.14))
            shade = [float(v) for v in rng.integers(40, 200, 3)]
            cv2.rectangle(canvas, (x, base - book), (x + thick - 1, base), shade, -1)
            x += thick
        cv2.rectangle(canvas, (shelf - 4, base), (x + 4, base + 5), (92, 66, 44), -1)
    return canvas.astype(np.float32)


def _gradient(rng: np.random.Generator, height: int, width: int, colour: str) -> np.ndarray:
    angle = rng.uniform(0.2, 1.2)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    ramp = (rows / height) * np.sin(angle) + (columns / width) * np.cos(angle)
    return tint(0.15 + 0.8 * ramp / ramp.max(), TONES[colour])


def _noise(rng: np.random.Generator, height: int, width: int, colour: str) -> np.ndarray:
    specks = rng.random((height // 2 + 1, width // 2 + 1), dtype=np.float32)
    return tint(cv2.resize(specks, (width, height), interpolation=cv2.INTER_LINEAR), TONES[colour])


def _flat(rng: np.random.Generator, height: int, width: int, colour: str) -> np.ndarray:
    return np.full((height, width, 3), TONES[colour][2], np.float32)


def _slide(rng: np.random.Generator, height: int, width: int, colour: str) -> np.ndarray:
    """Paints white paper under a thin band in the colour: the layout that all slides of a talk share."""
    canvas = np.full((height, width, 3), 250, np.float32)
    canvas[: height // 40] = TONES[colour][1]
    canvas[height - height // 60 :] = TONES[colour][2]
    return canvas


PATTERNS: dict[str, Callable[[np.random.Generator, int, int, str], np.ndarray]] = {
    "landscape": _landscape,
    "clouds": _clouds,
    "water": _water,
    "forest": _forest,
    "city": _city,
    "bricks": _bricks,
    "wood": _wood,
    "sand": _sand,
    "grass": _grass,
    "room": _room,
    "gradient": _gradient,
    "noise": _noise,
    "flat": _flat,
    "slide": _slide,
}
