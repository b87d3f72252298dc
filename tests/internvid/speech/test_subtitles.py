"""Subtitles that came with a video: every format and encoding, and which of several is taken."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from av.stream import Disposition

from internvid.speech.cues import Cue
from internvid.speech.division import words_within
from internvid.speech.subtitles import SubtitleFile, Subtitles, UnreadableSubtitles, subtitles_of, text_of

ALL = ("uploaded", "embedded", "automatic")
NO_FLAG = Disposition(0)

# Cuts at 1, 2 and 3 s, and cues whose edges miss them by up to 50 ms, so that each cue belongs to one clip.
CLIPS = [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 4.0)]
SPOKEN = [
    (0.05, 1.04, "First we peel the onions."),
    (1.04, 1.96, "Then the pan gets hot"),
    (1.98, 3.04, "and we stir with a spoon."),
    (3.04, 3.98, "Enjoy your meal!"),
]


def srt_time(seconds: float, point: str = ",") -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"00:{minutes:02d}:{milliseconds // 1000:02d}{point}{milliseconds % 1000:03d}"


def srt(cues=SPOKEN) -> str:
    blocks = [
        f"{number}\n{srt_time(start)} --> {srt_time(end)}\n{text}\n"
        for number, (start, end, text) in enumerate(cues, start=1)
    ]
    return "\n".join(blocks)


def vtt(cues=SPOKEN) -> str:
    blocks = [
        f"cue-{start}\n{srt_time(start, '.')} --> {srt_time(end, '.')} align:start\n{text}\n"
        for start, end, text in cues
    ]
    return "\n".join(["WEBVTT", "", "STYLE", "::cue { color: red }", "", "NOTE made by hand", "", *blocks])


def json3(cues=SPOKEN) -> str:
    events = [
        {"tStartMs": round(start * 1000), "dDurationMs": round((end - start) * 1000), "segs": [{"utf8": text}]}
        for start, end, text in cues
    ]
    return json.dumps({"wireMagic": "pb3", "pens": [{}], "events": [{"tStartMs": 0, "id": 1}, *events]})


def ass(cues=SPOKEN) -> str:
    lines = ["[Script Info]", "ScriptType: v4.00+", "", "[Events]"]
    lines.append("Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text")
    for start, end, text in cues:
        times = [f"0:00:{seconds:05.2f}" for seconds in (start, end)]
        lines.append(f"Dialogue: 0,{times[0]},{times[1]},Default,,0,0,0,,{{\\an8}}{text}")
    return "\n".join(lines)


def read(video: Path, name: str, text: str | bytes) -> Subtitles | None:
    data = text.encode() if isinstance(text, str) else text
    return subtitles_of(str(video), video.name, [SubtitleFile(name, data)], ALL)


def words_in_clips(cues: list[Cue]) -> list[str]:
    return [" ".join(filter(None, (words_within(cue, *clip) for cue in cues))) for clip in CLIPS]


# --- formats ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("video.en.srt", srt()),
        ("video.en.srt", srt().replace("\n\n", "\n")),  # no line between cues
        ("video.en.srt", srt(SPOKEN[::-1])),  # in wrong order
        ("video.en.srt", srt().replace("\n", "\r\n")),
        ("video.en.vtt", vtt()),
        ("video.en.vtt", vtt().replace("00:00:", "00:")),  # WebVTT may leave the hours out
        ("video.en.srt", vtt()),  # by another name
        ("video.en.json3", json3()),
        ("video.en.ass", ass()),
    ],
)
def test_each_cue_lands_in_its_clip_to_within_50_ms(spoken_video: Path, name: str, text: str) -> None:
    subtitles = read(spoken_video, name, text)
    assert subtitles is not None
    assert (subtitles.kind, subtitles.origin, subtitles.language) == ("uploaded", name, "en")
    assert [cue.text for cue in subtitles.cues] == [text for *_, text in SPOKEN]
    for cue, (start, end, _) in zip(subtitles.cues, SPOKEN, strict=True):
        assert (cue.start_seconds, cue.end_seconds) == pytest.approx((start, end), abs=0.05)
    assert words_in_clips(subtitles.cues) == [text for *_, text in SPOKEN]


@pytest.mark.parametrize(
    ("codec", "suffix"), [("mov_text", "mp4"), ("subrip", "mkv"), ("webvtt", "mkv"), ("ass", "mkv")]
)
def test_embedded_streams_are_read_by_the_clock_of_the_pictures(
    with_streams: Callable[..., Path], tmp_path: Path, codec: str, suffix: str
) -> None:
    cues = [(start, end, text.replace("pan", "{\\i1}pan{\\i0}")) for start, end, text in SPOKEN]
    video = with_streams(tmp_path / f"video.{suffix}", [(codec, "ger", cues, Disposition.default)])
    subtitles = subtitles_of(str(video), video.name, [], ALL)
    assert subtitles is not None
    assert (subtitles.kind, subtitles.origin, subtitles.language) == ("embedded", "stream 2", "de")
    for cue, (start, end, text) in zip(subtitles.cues, SPOKEN, strict=True):
        assert (cue.start_seconds, cue.end_seconds) == pytest.approx((start, end), abs=0.05)
        assert cue.text == text
    assert words_in_clips(subtitles.cues) == [text for *_, text in SPOKEN]


ROLLING_VTT = """WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:01.869 align:start position:0%
\x20
first<00:00:00.480><c> we</c><00:00:00.960><c> peel</c>

00:00:01.869 --> 00:00:01.879 align:start position:0%
first we peel
\x20

00:00:01.879 --> 00:00:03.000 align:start position:0%
first we peel
the<00:00:02.040><c> onions</c>

00:00:03.000 --> 00:00:03.010 align:start position:0%
the onions
\x20

00:00:03.010 --> 00:00:03.900 align:start position:0%
the onions
[Music]
"""


def test_youtubes_rolling_captions_are_automatic_and_each_line_is_said_once(spoken_video: Path) -> None:
    subtitles = read(spoken_video, "video.vtt", ROLLING_VTT)
    assert subtitles == Subtitles(
        "automatic", "video.vtt", "en", [Cue(0.16, 1.869, "first we peel"), Cue(1.879, 3.0, "the onions")]
    )


def test_rolling_lines_give_converted_captions_away(spoken_video: Path) -> None:
    rolling = [(0.0, 1.0, "first we peel"), (1.0, 2.0, "first we peel\nthe onions"), (2.0, 3.0, "the onions\nand stir")]
    subtitles = read(spoken_video, "video.en.srt", srt(rolling))
    assert subtitles is not None
    assert subtitles.kind == "automatic"
    assert [cue.text for cue in subtitles.cues] == ["first we peel", "the onions", "and stir"]
    only_people = subtitles_of(
        str(spoken_video), "video.mp4", [SubtitleFile("video.srt", srt(rolling).encode())], ["uploaded"]
    )
    assert only_people is None


def test_youtubes_recognised_json3_is_automatic_and_lines_end_where_the_next_begins(spoken_video: Path) -> None:
    events = [
        {"tStartMs": 0, "dDurationMs": 4000, "id": 1, "wpWinPosId": 1, "wsWinStyleId": 1},
        {
            "tStartMs": 160,
            "dDurationMs": 3000,
            "wWinId": 1,
            "segs": [{"utf8": "first"}, {"utf8": " we", "tOffsetMs": 320}],
        },
        {"tStartMs": 1500, "dDurationMs": 1500, "wWinId": 1, "aAppend": 1, "segs": [{"utf8": "\n"}]},
        {"tStartMs": 1500, "dDurationMs": 2500, "wWinId": 1, "segs": [{"utf8": "peel", "acAsrConf": 230}]},
        {"tStartMs": "nonsense", "segs": [{"utf8": "lost"}]},
        {"tStartMs": 2000, "segs": None},
    ]
    subtitles = read(spoken_video, "video.en.json3", json.dumps({"events": events}))
    assert subtitles == Subtitles(
        "automatic",
        "video.en.json3",
        "en",
        [Cue(0.16, 1.5, "first we"), Cue(1.5, 4.0, "peel")],
        ("video.en.json3: 1 of 4 cues could not be read as json3: line 5: its times cannot be read: 'lost'",),
    )


# --- clocks of HLS, and what cannot be read ------------------------------------------------------------------------


def mapped(ticks: int, local: str = "00:00:00.000") -> str:
    return f"WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:{ticks},LOCAL:{local}\n\n00:00:01.000 --> 00:00:02.000\nFirst we peel.\n"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (mapped(0), 1.0),
        (mapped(90_000), 2.0),
        (mapped(90_000, "00:00:00.500"), 1.5),
        (mapped(90_000).replace("MPEGTS:90000,LOCAL:00:00:00.000", "LOCAL:00:00.000, MPEGTS:90000"), 2.0),
        (mapped(900_000), 1.0),  # 10 s is after the video's end: its pictures were moved to zero without the words
        (mapped(900_000) + "\n" + mapped(990_000), 1.0),  # the first of two segments
    ],
)
def test_an_x_timestamp_map_shifts_the_cues(spoken_video: Path, text: str, seconds: float) -> None:
    subtitles = read(spoken_video, "video.en.vtt", text)
    assert subtitles is not None
    assert subtitles.cues[0].start_seconds == pytest.approx(seconds, abs=0.01)


def test_a_map_of_each_segment_holds_for_its_cues(spoken_video: Path) -> None:
    subtitles = read(spoken_video, "video.en.vtt", mapped(900_000) + "\n" + mapped(990_000).replace("peel", "stir"))
    assert subtitles is not None
    assert [cue.start_seconds for cue in subtitles.cues] == pytest.approx([1.0, 2.0], abs=0.01)


def test_a_map_names_the_clock_of_mpeg_ts(spoken_video: Path, tmp_path: Path) -> None:
    video = tmp_path / "video.ts"
    with av.open(str(spoken_video)) as source, av.open(str(video), "w", format="mpegts") as copy:
        stream = source.streams.video[0]
        target = copy.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = target
                copy.mux(packet)
    with av.open(str(video)) as container:
        first = next(container.decode(video=0)).time
    assert first is not None
    assert first > 1
    at_first_frame = mapped(round(first * 90_000), "00:00:01.000")
    for text in (at_first_frame, mapped(round(first * 90_000) + 2**33, "00:00:01.000")):  # its clock wraps
        subtitles = read(video, "video.en.vtt", text)
        assert subtitles is not None
        assert subtitles.cues[0].start_seconds == pytest.approx(0.0, abs=0.01)


def test_cues_that_cannot_be_read_are_told_of_beside_those_that_can(spoken_video: Path) -> None:
    damaged = srt().replace("00:00:01,040 -->", "00:00:0x,040 -->")
    files = [SubtitleFile("video.en.srt", damaged.encode()), SubtitleFile("video.de.sup", b"PG\0\0" + bytes(20))]
    subtitles = subtitles_of(str(spoken_video), "video.mp4", files, ALL)
    assert subtitles is not None
    assert len(subtitles.cues) == 3
    assert subtitles.problems == (
        "video.de.sup: it is PGS pictures of a Blu-ray (.sup), which is not read",
        "video.en.srt: 1 of 4 cues could not be read as SRT: line 6: its times cannot be read: "
        "'00:00:0x,040 --> 00:00:01,960'",
    )


def test_a_file_of_which_nothing_can_be_read_leaves_the_place_to_the_next(spoken_video: Path) -> None:
    nothing = SubtitleFile("video.en.srt", b"1\n00:00:0x,000 --> 00:00:02,000\nlost")
    with pytest.raises(UnreadableSubtitles, match=r"^video\.en\.srt: none of 1 cues could be read as SRT: line 2: "):
        subtitles_of(str(spoken_video), "video.mp4", [nothing], ALL)
    subtitles = subtitles_of(
        str(spoken_video), "video.mp4", [nothing, SubtitleFile("video.de.srt", srt().encode())], ALL
    )
    assert subtitles is not None
    assert (subtitles.origin, len(subtitles.problems)) == ("video.de.srt", 1)


def test_frames_are_counted_by_the_videos_rate(spoken_video: Path) -> None:  # 10 fps
    subtitles = read(spoken_video, "video.en.sub", "{5}{15}First we peel.\n{20}{30}Then we stir.")
    assert subtitles is not None
    assert [(cue.start_seconds, cue.end_seconds) for cue in subtitles.cues] == [(0.5, 1.5), (2.0, 3.0)]


def test_of_a_file_with_several_languages_the_spoken_one_is_taken(spoken_video: Path) -> None:
    text = (
        "<SAMI><STYLE>.KO {lang: ko-KR;} .EN {lang: en-US;}</STYLE><BODY>"
        "<SYNC Start=1000><P Class=KO>안녕하세요<P Class=EN>Hello"
    )
    subtitles = read(spoken_video, "video.smi", text)
    assert subtitles is not None
    assert (subtitles.language, [cue.text for cue in subtitles.cues]) == ("en", ["Hello"])


# --- encodings ----------------------------------------------------------------------------------------------------

FRENCH = [(0.0, 1.0, "Bonjour à tous, où êtes-vous ?"), (1.0, 2.0, "Ça va très bien, merci – déjà prêts.")]
RUSSIAN = [(0.0, 1.0, "Сегодня мы готовим суп."), (1.0, 2.0, "Сначала почистим лук и морковь.")]
JAPANESE = [(0.0, 1.0, "今日は料理をします。"), (1.0, 2.0, "玉ねぎを切ります。")]


@pytest.mark.parametrize(
    ("name", "cues", "encoding", "language"),
    [
        ("video.srt", FRENCH, "utf-8", "fr"),
        ("video.srt", FRENCH, "utf-8-sig", "fr"),
        ("video.srt", FRENCH, "utf-16", "fr"),
        ("video.srt", FRENCH, "utf-16-le", "fr"),
        ("video.srt", FRENCH, "utf-16-be", "fr"),
        ("video.srt", FRENCH, "utf-32", "fr"),
        ("video.srt", FRENCH, "cp1252", "fr"),
        ("video.fr.srt", FRENCH, "cp1252", "fr"),
        ("video.ru.srt", RUSSIAN, "cp1251", "ru"),
        ("video.srt", RUSSIAN, "cp1251", "ru"),
        ("video.ja.srt", JAPANESE, "cp932", "ja"),
    ],
)
def test_any_encoding_gives_the_same_words_and_their_language(
    spoken_video: Path, name: str, cues: list, encoding: str, language: str
) -> None:
    subtitles = read(spoken_video, name, srt(cues).encode(encoding))
    assert subtitles is not None
    assert [cue.text for cue in subtitles.cues] == [text for *_, text in cues]
    assert subtitles.language == language


@pytest.mark.parametrize("nuls", [b"\0", b"\0" * 7, b"\0" * 4096])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_nul_bytes_lose_nothing(nuls: bytes, encoding: str) -> None:
    data = srt(RUSSIAN).encode(encoding)
    padded = data + nuls * (2 if encoding != "utf-8" else 1)
    assert text_of(padded) == srt(RUSSIAN)
    if encoding == "utf-8":
        assert text_of(data[:30] + nuls + data[30:]) == srt(RUSSIAN)


def test_damaged_unicode_loses_only_what_is_damaged() -> None:
    damaged = "Où êtes-vous ? À l'école.".encode().replace("À".encode(), b"\xc3")
    assert text_of(damaged) == "Où êtes-vous ? \ufffd l'école."
    assert text_of(b"\xff\xfe" + "où".encode("utf-16-le") + b"\0") == "où\ufffd"


# --- which is taken -----------------------------------------------------------------------------------------------


def test_uploaded_subtitles_go_before_embedded_ones_and_those_before_automatic_ones(
    with_streams: Callable[..., Path], tmp_path: Path
) -> None:
    video = with_streams(tmp_path / "video.mp4", [("mov_text", "eng", SPOKEN, Disposition.default)])
    files = [
        SubtitleFile("video.en-orig.json3", json3().encode()),
        SubtitleFile("video.en.srt", srt().encode()),
        SubtitleFile("video.en.vtt", ROLLING_VTT.encode()),
    ]

    def taken(kinds: tuple[str, ...], files: list[SubtitleFile] = files) -> str | None:
        subtitles = subtitles_of(str(video), video.name, files, kinds)
        return subtitles and subtitles.origin

    assert taken(ALL) == "video.en.srt"
    assert taken(ALL, files[::2]) == "stream 2"
    assert taken(("automatic", "uploaded")) == "video.en-orig.json3"
    assert taken(()) is None
    assert taken(("automatic",), files[1:2]) is None


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["video.de.srt", "video.en.srt", "video.fr.srt"], "video.en.srt"),  # the spoken language is not known
        (["video.en.srt", "video.fr-orig.json3", "video.fr.srt"], "video.fr.srt"),
        (["video.en.srt", "video.fr-orig.json3"], "video.en.srt"),
        (["video.de.srt", "video.fr-orig.json3", "video.srt"], "video.srt"),
        (["video.en.forced.srt", "video.it.srt"], "video.it.srt"),
        (["video.pt.srt", "video.it.srt"], "video.it.srt"),
    ],
)
def test_of_a_kind_the_spoken_language_is_taken(spoken_video: Path, names: list[str], taken: str) -> None:
    texts = {".srt": srt(), "json3": json3()}
    files = [SubtitleFile(name, texts[name[-4:] if name.endswith(".srt") else "json3"].encode()) for name in names]
    subtitles = subtitles_of(str(spoken_video), "video.mp4", files, ALL)
    assert subtitles is not None
    assert subtitles.origin == taken


def test_of_streams_the_default_one_is_taken_and_none_of_foreign_lines_only(
    with_streams: Callable[..., Path], tmp_path: Path
) -> None:
    streams = [
        ("subrip", "eng", SPOKEN[:1], NO_FLAG),
        ("subrip", "ger", SPOKEN[:1], Disposition.default | Disposition.forced),
        ("subrip", "fre", SPOKEN, Disposition.default),
    ]
    video = with_streams(tmp_path / "video.mkv", streams)
    subtitles = subtitles_of(str(video), video.name, [], ALL)
    assert subtitles is not None
    assert (subtitles.origin, subtitles.language, len(subtitles.cues)) == ("stream 4", "fr", 4)


def test_a_file_that_cannot_be_read_is_passed_over_and_told_of_if_nothing_else_is_there(spoken_video: Path) -> None:
    page = SubtitleFile("video.en.srt", b"<!DOCTYPE html><html>404 Not Found</html>")
    good = SubtitleFile("video.de.vtt", vtt().encode())
    subtitles = subtitles_of(str(spoken_video), "video.mp4", [page, good], ALL)
    assert subtitles is not None
    assert subtitles.origin == "video.de.vtt"
    with pytest.raises(UnreadableSubtitles, match=r"^video\.en\.srt: .*no time in it$"):
        subtitles_of(str(spoken_video), "video.mp4", [page], ALL)


@pytest.mark.parametrize(
    "data", [b"", b"WEBVTT\n", b"\xef\xbb\xbf", b'{"events": []}', b"1\n00:00:01,000 --> 00:00:02,000\n\n"]
)
def test_where_nothing_is_said_there_are_no_subtitles(spoken_video: Path, data: bytes) -> None:
    assert read(spoken_video, "video.en.vtt", data) is None


@pytest.mark.parametrize(
    "data",
    [
        b'{"events": [1, {"segs": "x"}, {"segs": [1]}, null]}',
        b'{"events": 3}',
        b"{" * 5000,
        b"WEBVTT\n\n00:00:01.000 --> \xff\xff\nx\n",
        b"1\n99:99:99,999 --> 00:00:00,000\n" + b"\x00" * 50,
        b"[Script Info]\nDialogue: broken",
        bytes(range(256)) * 20,
    ],
)
def test_nonsense_is_an_error_of_its_own_or_nothing(spoken_video: Path, data: bytes) -> None:
    with contextlib.suppress(UnreadableSubtitles):
        assert read(spoken_video, "video.en.json3", data) is None
