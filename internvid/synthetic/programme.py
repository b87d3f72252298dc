"""The plans: the sample videos of the demo, and videos whose cuts are hard to detect."""

from __future__ import annotations

from fractions import Fraction

from internvid.synthetic.plans import Backdrop, Figure, Shot, VideoPlan

MEADOW_GAMES = VideoPlan(
    "meadow_games",
    fps=25,
    fade_in=20,
    fade_out=20,
    shots=(
        Shot(90, Backdrop("landscape", "green", 1), (Figure("circle", "red", "moving right"),), shake=0.003, grain=2),
        Shot(
            70, Backdrop("grass", "green", 2), (Figure("circle", "yellow", "bouncing", size=0.3),), shake=0.002, grain=2
        ),
        Shot(80, Backdrop("landscape", "orange", 3), (Figure("car", "blue", "moving left", at=(0.5, 0.75)),), grain=2),
        Shot(
            60,
            Backdrop("clouds", "blue", 4),
            (Figure("balloon", "red", "moving up", at=(0.4, 0.5), size=0.4),),
            grain=2,
        ),
        Shot(100, Backdrop("landscape", "green", 5), camera="pan right", travel=0.9, grain=2),
        Shot(
            75,
            Backdrop("sand", "yellow", 6),
            (
                Figure("star", "purple", "spinning", at=(0.3, 0.5), size=0.45),
                Figure("circle", "green", "moving down", at=(0.75, 0.5)),
            ),
            grain=2,
        ),
        Shot(
            75,
            Backdrop("water", "blue", 7),
            (Figure("square", "white", "moving right", at=(0.5, 0.35), size=0.2),),
            grain=2,
        ),
    ),
)

CITY_EVENING = VideoPlan(
    "city_evening",
    fps=24,
    shots=(
        Shot(
            72, Backdrop("city", "grey", 1), (Figure("car", "red", "moving right", at=(0.5, 0.86), size=0.14),), grain=3
        ),
        Shot(84, Backdrop("city", "blue", 2), camera="pan left", travel=0.8, grain=3),
        Shot(72, Backdrop("city", "purple", 3), camera="zoom in", travel=0.7, grain=3, join="dissolve", join_frames=24),
        Shot(60, Backdrop("bricks", "red", 4), (Figure("person", "green", "talking", size=0.8),), shake=0.002, grain=3),
        Shot(60, Backdrop("water", "orange", 5), camera="zoom out", travel=0.6, grain=3),
        Shot(72, Backdrop("city", "blue", 6), text="GOOD NIGHT", grain=3, join="fade", join_frames=24),
    ),
)

TALK_WITH_SLIDES = VideoPlan(
    "talk_with_slides",
    fps=30,
    shots=(
        Shot(90, Backdrop("slide", "blue"), text="How rivers move sand\nA field study\nThree summers of data"),
        Shot(
            90,
            Backdrop("room", "yellow", 1),
            (Figure("person", "blue", "talking", at=(0.45, 0.62), size=0.8),),
            grain=1.5,
        ),
        Shot(75, Backdrop("slide", "blue"), text="Method\nMark one thousand stones\nFind them after each flood"),
        Shot(75, Backdrop("slide", "blue"), text="Result\nLarge stones stay\nSmall stones travel 2 km"),
        Shot(
            90,
            Backdrop("room", "yellow", 1),
            (Figure("person", "blue", "talking", at=(0.45, 0.62), size=0.8),),
            grain=1.5,
        ),
        Shot(75, Backdrop("slide", "blue"), text="Thank you\nQuestions?"),
    ),
)

TOY_SHAPES = VideoPlan(
    "toy_shapes",
    width=320,
    height=240,
    fps=30,
    sound=False,
    shots=(
        Shot(75, Backdrop("flat", "white"), (Figure("square", "blue", "growing", at=(0.5, 0.5), size=0.4),)),
        Shot(75, Backdrop("gradient", "purple", 1), (Figure("triangle", "yellow", "moving left", at=(0.5, 0.5)),)),
        Shot(75, Backdrop("noise", "grey", 2), (Figure("circle", "green", "moving down", at=(0.5, 0.5)),)),
        Shot(75, Backdrop("flat", "yellow"), (Figure("star", "red", "spinning", at=(0.5, 0.5), size=0.6),)),
        Shot(75, Backdrop("gradient", "blue", 3), (Figure("circle", "orange", "bouncing", size=0.3),)),
        Shot(75, Backdrop("flat", "green"), (Figure("circle", "white", "shrinking", at=(0.5, 0.5), size=0.4),)),
    ),
)

PHONE_UPRIGHT = VideoPlan(
    "phone_upright",
    width=360,
    height=640,
    fps=30,
    rotation_degrees=90,
    shots=(
        Shot(
            120,
            Backdrop("room", "blue", 1),
            (Figure("person", "orange", "talking", at=(0.5, 0.75), size=0.5),),
            shake=0.006,
            grain=3,
        ),
        Shot(90, Backdrop("forest", "green", 2), camera="tilt up", travel=0.6, shake=0.004, grain=3),
        Shot(
            90,
            Backdrop("grass", "green", 3),
            (Figure("circle", "white", "moving up", at=(0.5, 0.5), size=0.14),),
            shake=0.004,
            grain=3,
        ),
    ),
)

WIDE_TRAVELS = VideoPlan(
    "wide_travels",
    fps=25,
    pixel_aspect=Fraction(4, 3),
    shots=(
        Shot(100, Backdrop("landscape", "yellow", 1), camera="pan left", travel=0.8, grain=2),
        Shot(75, Backdrop("sand", "brown", 2), (Figure("circle", "blue", "moving left", at=(0.5, 0.5)),), grain=2),
        Shot(75, Backdrop("forest", "green", 3), camera="tilt down", travel=0.5, grain=2),
        Shot(
            75,
            Backdrop("water", "blue", 4),
            (Figure("balloon", "yellow", "moving right", at=(0.5, 0.4), size=0.4),),
            grain=2,
        ),
    ),
)

PARK_UNEVEN = VideoPlan(
    "park_uneven",
    fps=24,
    variable_rate=True,
    start_seconds=0.5,
    shots=(
        Shot(
            96,
            Backdrop("landscape", "green", 1),
            (Figure("star", "pink", "moving right", at=(0.5, 0.45)),),
            shake=0.004,
            grain=3,
        ),
        Shot(84, Backdrop("forest", "brown", 2), camera="zoom in", travel=0.5, shake=0.003, grain=3),
        Shot(84, Backdrop("bricks", "brown", 3), (Figure("circle", "orange", "bouncing"),), shake=0.003, grain=3),
        Shot(
            96,
            Backdrop("landscape", "purple", 4),
            (Figure("car", "white", "moving left", at=(0.5, 0.78)),),
            shake=0.004,
            grain=3,
        ),
    ),
)

FOREST_WALK = VideoPlan(
    "forest_walk",
    width=320,
    height=240,
    fps=24,
    codec="vp9",
    shots=(
        Shot(96, Backdrop("forest", "green", 1), camera="pan right", travel=0.8, shake=0.004),
        Shot(72, Backdrop("wood", "brown", 2), (Figure("square", "red", "spinning", at=(0.5, 0.5), size=0.4),)),
        Shot(72, Backdrop("landscape", "white", 3), (Figure("circle", "blue", "moving right", at=(0.5, 0.7)),)),
        Shot(72, Backdrop("clouds", "orange", 4), (Figure("balloon", "purple", "moving up", at=(0.6, 0.5), size=0.4),)),
    ),
)

TIDE = VideoPlan(
    "tide",
    fps=25,
    codec="av1",
    shots=(
        Shot(
            100, Backdrop("water", "blue", 1), (Figure("circle", "orange", "moving down", at=(0.7, 0.4), travel=0.4),)
        ),
        Shot(
            75, Backdrop("sand", "yellow", 2), (Figure("triangle", "red", "moving right", at=(0.5, 0.5)),), shake=0.003
        ),
        Shot(75, Backdrop("water", "purple", 3), camera="zoom out", travel=0.6),
        Shot(
            75, Backdrop("landscape", "blue", 4), (Figure("balloon", "white", "moving left", at=(0.5, 0.3), size=0.4),)
        ),
    ),
)

STILL_GALLERY = VideoPlan(
    "still_gallery",
    fps=25,
    fade_out=15,
    shots=(
        Shot(75, Backdrop("landscape", "orange", 1)),
        Shot(75, Backdrop("forest", "yellow", 2), (Figure("star", "blue", at=(0.3, 0.4)),)),
        Shot(75, Backdrop("city", "grey", 3), join="dissolve", join_frames=20),
        Shot(75, Backdrop("wood", "brown", 4), (Figure("circle", "green", at=(0.5, 0.5), size=0.5),)),
    ),
)

SAMPLE_VIDEOS: tuple[VideoPlan, ...] = (
    MEADOW_GAMES,
    CITY_EVENING,
    TALK_WITH_SLIDES,
    TOY_SHAPES,
    PHONE_UPRIGHT,
    WIDE_TRAVELS,
    PARK_UNEVEN,
    FOREST_WALK,
    TIDE,
    STILL_GALLERY,
)


def _speaker(x: float, y: float) -> tuple[Figure, ...]:
    return (Figure("person", "purple", "talking", at=(x, y), size=0.85),)


STUDIO = Backdrop("room", "grey", 1)
JUMP_CUTS = VideoPlan(
    "jump_cuts",
    fps=25,
    shots=(
        Shot(45, STUDIO, _speaker(0.5, 0.62), grain=3, shake=0.001),
        Shot(38, STUDIO, _speaker(0.55, 0.63), grain=3, shake=0.001),
        Shot(31, STUDIO, _speaker(0.48, 0.62), framing=(1.15, 0.0, 0.02), grain=3, shake=0.001),
        Shot(27, STUDIO, _speaker(0.52, 0.6), grain=3, shake=0.001),
        Shot(40, STUDIO, _speaker(0.45, 0.62), grain=3, shake=0.001),
        Shot(22, STUDIO, _speaker(0.45, 0.62), framing=(1.25, 0.0, 0.0), grain=3, shake=0.001),
    ),
)

SLIDE_CHANGES = VideoPlan(
    "slide_changes",
    fps=25,
    shots=(
        Shot(50, Backdrop("slide", "green"), text="Soil and water\nWhat plants take up\nWhat stays behind"),
        Shot(40, Backdrop("slide", "green"), text="Our question\nHow much of it is rain?"),
        Shot(45, Backdrop("slide", "green"), text="Field sites\nTwelve plots in the valley\nFour on the ridge"),
        Shot(30, Backdrop("slide", "green"), text="Rain by month\nMost of it in April\nNone in August"),
        Shot(35, Backdrop("slide", "green"), text="Roots\nDeeper where it is dry"),
        Shot(50, Backdrop("slide", "green"), text="Summary\nWater decides\nSoil delays"),
    ),
)

CAMERA_FLASHES = VideoPlan(
    "camera_flashes",
    fps=25,
    shots=(
        Shot(
            75,
            Backdrop("room", "red", 1),
            (Figure("person", "white", "talking", size=0.8),),
            light=0.7,
            flashes=((20, 1), (44, 2), (60, 3)),
            grain=4,
            shake=0.002,
        ),
        Shot(
            60,
            Backdrop("bricks", "brown", 2),
            (Figure("person", "blue", "talking", at=(0.6, 0.6), size=0.8),),
            light=0.7,
            flashes=((12, 2), (15, 1), (41, 3)),
            grain=4,
            shake=0.002,
        ),
        # A flash on the first frames of a shot: the cut is there, the flash does not move it.
        Shot(60, Backdrop("city", "black", 3), flashes=((0, 2), (30, 1)), grain=4, shake=0.003),
    ),
)

MONTAGE_PLACES = (
    Backdrop("landscape", "green", 11),
    Backdrop("city", "grey", 12),
    Backdrop("water", "blue", 13),
    Backdrop("bricks", "red", 14),
    Backdrop("forest", "green", 15),
    Backdrop("sand", "yellow", 16),
    Backdrop("room", "blue", 17),
    Backdrop("clouds", "orange", 18),
    Backdrop("wood", "brown", 19),
    Backdrop("landscape", "purple", 20),
)
TWO_FRAME_MONTAGE = VideoPlan(
    "two_frame_montage",
    fps=25,
    shots=(
        Shot(40, Backdrop("landscape", "yellow", 1), camera="pan right", travel=0.2, grain=3),
        *(Shot(2, place, grain=3) for place in MONTAGE_PLACES),
        Shot(36, Backdrop("room", "yellow", 2), _speaker(0.5, 0.62), grain=3),
        *(Shot(2 + index % 3, place, grain=3, shake=0.004) for index, place in enumerate(MONTAGE_PLACES[::-1])),
        Shot(40, Backdrop("water", "white", 3), grain=3, shake=0.004),
    ),
)

FADES = VideoPlan(
    "fades",
    fps=25,
    fade_in=25,
    fade_out=25,
    shots=(
        Shot(75, Backdrop("landscape", "green", 1), camera="pan right", travel=0.3, grain=2),
        Shot(75, Backdrop("city", "blue", 2), grain=3, shake=0.003, join="fade", join_frames=40),
        Shot(50, Backdrop("water", "orange", 3), grain=2),
        Shot(75, Backdrop("forest", "green", 4), camera="zoom in", travel=0.3, grain=2, join="fade", join_frames=16),
    ),
)

DISSOLVES = VideoPlan(
    "dissolves",
    fps=25,
    shots=(
        Shot(60, Backdrop("forest", "green", 1), camera="zoom in", travel=0.2, grain=2),
        Shot(
            60,
            Backdrop("landscape", "green", 2),
            camera="pan left",
            travel=0.3,
            grain=2,
            join="dissolve",
            join_frames=30,
        ),
        Shot(50, Backdrop("city", "grey", 3), grain=2, join="dissolve", join_frames=10),
        Shot(50, Backdrop("water", "blue", 4), (Figure("circle", "red", "moving right"),), grain=2),
        Shot(60, Backdrop("clouds", "blue", 5), grain=2, join="dissolve", join_frames=40),
    ),
)

WHIP_PANS = VideoPlan(
    "whip_pans",
    fps=25,
    shots=(
        Shot(75, Backdrop("city", "grey", 1), camera="whip pan right", travel=1.8, shake=0.003, grain=3),
        Shot(60, Backdrop("forest", "green", 2), camera="whip pan left", travel=2.0, shake=0.003, grain=3),
        Shot(60, Backdrop("landscape", "white", 3), camera="whip pan right", travel=1.6, shake=0.003, grain=3),
    ),
)

LIKE_COLOURS = VideoPlan(
    "like_colours",
    fps=25,
    shots=(
        Shot(40, Backdrop("forest", "green", 1), shake=0.003, grain=3),
        Shot(36, Backdrop("forest", "green", 2), shake=0.003, grain=3),
        Shot(30, Backdrop("grass", "green", 3), shake=0.003, grain=3),
        Shot(30, Backdrop("grass", "green", 4), (Figure("circle", "green", "moving left"),), shake=0.003, grain=3),
        Shot(40, Backdrop("city", "grey", 5), shake=0.003, grain=3),
        Shot(32, Backdrop("city", "grey", 6), shake=0.003, grain=3),
        Shot(28, Backdrop("sand", "yellow", 7), shake=0.003, grain=3),
        Shot(28, Backdrop("sand", "yellow", 8), shake=0.003, grain=3),
    ),
)

STROBE_LIGHT = VideoPlan(
    "strobe_light",
    fps=25,
    shots=(
        Shot(30, Backdrop("room", "purple", 2), _speaker(0.5, 0.62), grain=4, shake=0.003),
        Shot(
            40,
            Backdrop("bricks", "purple", 1),
            (Figure("person", "red", "talking", size=0.8),),
            strobe=3,
            grain=4,
            shake=0.003,
        ),
        Shot(
            45,
            Backdrop("room", "purple", 2),
            (Figure("star", "yellow", "spinning", size=0.5),),
            strobe=5,
            grain=4,
            shake=0.003,
        ),
        Shot(
            36,
            Backdrop("city", "black", 3),
            (Figure("person", "white", "talking", size=0.8),),
            strobe=4,
            grain=4,
            shake=0.003,
        ),
    ),
)

PASSING_BUS = VideoPlan(
    "passing_bus",
    fps=25,
    shots=(
        Shot(
            40,
            Backdrop("city", "grey", 1),
            (
                Figure("person", "green", "talking", at=(0.3, 0.65), size=0.6),
                Figure("bus", "red", "moving right", at=(0.5, 0.5), size=1.05, travel=5.0),
            ),
            shake=0.003,
            grain=3,
        ),
        Shot(
            45,
            Backdrop("city", "grey", 2),
            (Figure("bus", "blue", "moving left", at=(0.5, 0.5), size=1.2, travel=6.0),),
            shake=0.003,
            grain=3,
        ),
        Shot(
            60,
            Backdrop("landscape", "green", 3),
            (Figure("circle", "black", "moving right", at=(0.5, 0.5), size=1.1, travel=7.0),),
            shake=0.003,
            grain=3,
        ),
    ),
)

FIVE_FPS = VideoPlan(
    "five_fps",
    fps=5,
    shots=(
        Shot(
            20,
            Backdrop("landscape", "green", 1),
            (Figure("car", "red", "moving right", at=(0.5, 0.75)),),
            shake=0.006,
            grain=3,
        ),
        Shot(14, Backdrop("room", "yellow", 2), _speaker(0.5, 0.62), shake=0.004, grain=3),
        Shot(16, Backdrop("city", "blue", 3), camera="pan right", travel=0.9, shake=0.004, grain=3),
        Shot(9, Backdrop("bricks", "red", 4), (Figure("circle", "yellow", "bouncing"),), shake=0.004, grain=3),
        Shot(
            18,
            Backdrop("water", "blue", 5),
            (Figure("balloon", "orange", "moving left", size=0.5, at=(0.5, 0.4)),),
            shake=0.004,
            grain=3,
        ),
        Shot(12, Backdrop("forest", "green", 6), camera="zoom in", travel=0.6, shake=0.004, grain=3),
    ),
)

DARK_GRAIN = VideoPlan(
    "dark_grain",
    fps=24,
    shots=(
        Shot(40, Backdrop("room", "blue", 1), _speaker(0.5, 0.62), light=0.28, grain=11, shake=0.004),
        Shot(36, Backdrop("city", "black", 2), light=0.6, grain=11, shake=0.004),
        Shot(40, Backdrop("forest", "green", 3), camera="pan left", travel=0.3, light=0.25, grain=11, shake=0.004),
        Shot(
            34,
            Backdrop("bricks", "red", 4),
            (Figure("circle", "red", "moving right"),),
            light=0.25,
            grain=11,
            shake=0.004,
        ),
        Shot(40, Backdrop("landscape", "blue", 5), light=0.22, grain=11, shake=0.004),
    ),
)

HARD_VIDEOS: tuple[VideoPlan, ...] = (
    JUMP_CUTS,
    SLIDE_CHANGES,
    CAMERA_FLASHES,
    TWO_FRAME_MONTAGE,
    FADES,
    DISSOLVES,
    WHIP_PANS,
    LIKE_COLOURS,
    STROBE_LIGHT,
    PASSING_BUS,
    FIVE_FPS,
    DARK_GRAIN,
)
