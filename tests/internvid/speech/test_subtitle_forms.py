"""Forms of subtitle files: what is read of each, what is counted as unreadable, and what is told by its name."""

from __future__ import annotations

import pysubs2
import pytest

from internvid.speech.cues import plain_lines
from internvid.speech.forms.detection import read_cues, refuse_binary
from internvid.speech.forms.reading import UnreadableSubtitles

FPS = 25.0
Expected = list[tuple[float, float | None, str]]


def read(text: str, fps: float | None = FPS) -> tuple[Expected, list[int]]:
    """Cues with words, and the lines of those that could not be read."""
    (reading,) = read_cues(text, fps)
    cues = [(cue.start_seconds, cue.end_seconds, " ".join(plain_lines(cue.text))) for cue in reading.cues]
    return (
        [(round(start, 3), end if end is None else round(end, 3), words) for start, end, words in cues if words],
        [unread.line for unread in reading.unread],
    )


@pytest.mark.parametrize(
    ("text", "cues"),
    [
        ("1\n00:00:01,000 --> 00:00:02,000\n\nHello\n", [(1.0, 2.0, "Hello")]),  # a blank line after the times
        (
            "00:01.000 --> 00:02.000\nHello\n\nagain\n\n00:03.000 --> 00:04.000\nBye",
            [(1, 2, "Hello again"), (3, 4, "Bye")],
        ),
        ("WEBVTT\n00:00:01.000 --> 00:00:02.000\nHello", [(1.0, 2.0, "Hello")]),  # right below the head
        ("WEBVTT\nintro\n00:00:01.000 --> 00:00:02.000\nHello", [(1.0, 2.0, "Hello")]),
        (
            "webvtt\n\nintro\n00:01.000 --> 00:02.000\nHello\n\noutro\n00:03.000 --> 00:04.000\nBye",
            [(1, 2, "Hello"), (3, 4, "Bye")],
        ),
        ("1\n00:00:01.5 --> 00:00:02,25\nHello", [(1.5, 2.25, "Hello")]),
        ("1\n00:00:01 --> 00:00:02\nHello", [(1.0, 2.0, "Hello")]),
        ("1\n1:02.5 --> 1:03.25\nHello", [(62.5, 63.25, "Hello")]),
        ("1\n1:00:01,5 --> 1:00:02\nHello", [(3601.5, 3602.0, "Hello")]),
        ("1\n00:00:01:500 --> 00:00:02:000\nHello", [(1.5, 2.0, "Hello")]),
        ("1\n00:00:01:12 --> 00:00:02:00\nHello", [(1.48, 2.0, "Hello")]),  # frames at 25 fps
        ("1\n00:00:01.5000000 --> 00:00:02.2500000\nHello", [(1.5, 2.25, "Hello")]),
        ("1\n00.00.01,500 --> 00.00.02,000\nHello", [(1.5, 2.0, "Hello")]),
        ("1\n00 : 00 : 01 , 500 --> 00 : 00 : 02 , 000\nHello", [(1.5, 2.0, "Hello")]),
        ("1\n00：00：01，500 --＞ 00：00：02，000\n你好", [(1.5, 2.0, "你好")]),
        *[
            (f"1\n00:00:01,000{arrow}00:00:02,000\nHello", [(1.0, 2.0, "Hello")])
            for arrow in (
                " –> ",
                " —> ",
                "->",
                " --&gt; ",
                " ⟶ ",
                " -- > ",
                " ==> ",
                " − − > ",
                " - ",
                "\t",
                " to ",
                " – ",
            )
        ],
        ("1\n00:00:01,000 --> \nHello", [(1.0, None, "Hello")]),
        ("1 00:00:01,000 --> 00:00:02,000\nHello", [(1.0, 2.0, "Hello")]),
        (
            "1\n\n00:00:01,000 --> 00:00:02,000\nHello\n\n2\n\n00:00:03,000 --> 00:00:04,000\nBye",
            [(1, 2, "Hello"), (3, 4, "Bye")],
        ),
        ("00:00:01,000 --> 00:00:02,000 Hello there", [(1.0, 2.0, "Hello there")]),
        ("00:00:01.000 --> 00:00:02.000 align:start line:0%\nHello", [(1.0, 2.0, "Hello")]),
        (
            "[00:00.000 --> 00:04.000]  Hello\n[00:04.000 --> 00:05.500]  Bye",
            [(0.0, 4.0, "Hello"), (4.0, 5.5, "Bye")],
        ),  # Whisper's
        ("1.5 --> 3.25\nHello", [(1.5, 3.25, "Hello")]),
        ("1\n00:00:01,000 --> 00:00:02,000\n>> I <3 NY. >> Me too.", [(1.0, 2.0, ">> I <3 NY. >> Me too.")]),
        (
            "1\n00:00:01,000 --> 00:00:02,000\nfrom 10:00 - 11:00\n10:00 - 11:00",
            [(1, 2, "from 10:00 - 11:00 10:00 - 11:00")],
        ),
        ("1\n00:00:01,000 --> 00:00:02,000\nA -> B at pH 7.4 -> 8.1", [(1, 2, "A -> B at pH 7.4 -> 8.1")]),
        (
            "00:00:01,000 --> 00:00:02,000\n10\n00:00:02,000 --> 00:00:03,000\n9",
            [(1, 2, "10"), (2, 3, "9")],
        ),  # no numbers
        ("1\n00:00:01,000 --> 00:00:02,000\n10\n2\n00:00:02,000 --> 00:00:03,000\n9", [(1, 2, "10"), (2, 3, "9")]),
        (
            "WEBVTT\n\nNOTE by hand\nof two lines\n\nSTYLE\n::cue {\n\n}\n\nREGION\nid:a\n\n0:01.0 --> 0:02.0\nHello",
            [(1, 2, "Hello")],
        ),
        (
            "0:00:01.000,0:00:02.000\nHello\nthere\n\n0:00:03.000,0:00:04.000\nBye\n",
            [(1, 2, "Hello there"), (3, 4, "Bye")],
        ),  # SBV
        (
            "[INFORMATION]\n[TITLE]x\n[END INFORMATION]\n00:00:01.00,00:00:02.50\nHello[br]there\n",
            [(1, 2.5, "Hello there")],
        ),
        ("$FontName = Arial\n//by hand\n00:00:01:00 , 00:00:02:12 , Hello\n", [(1.0, 2.48, "Hello")]),  # Spruce
        (
            "[ti:x]\n[offset:+500]\n[00:12.50][00:20.00]Hello\n[00:14.00]\n",
            [(12.0, 13.5, "Hello"), (19.5, None, "Hello")],
        ),
        ("[00:12.50]<00:12.50>Hel<00:12.90>lo", [(12.5, None, "Hello")]),
        ("{1}{1}23.976\n{24}{48}{Y:i}Hello|there\n", [(1.001, 2.002, "Hello there")]),
        ("{25}{50}Hello\n{75}{}Bye", [(1.0, 2.0, "Hello"), (3.0, None, "Bye")]),
        ("[10][25]/Hello|there", [(1.0, 2.5, "Hello there")]),
        ("00:00:01:Hello|there\n00:00:03:Bye", [(1.0, None, "Hello there"), (3.0, None, "Bye")]),
        ('<transcript><text start="1.5" dur="2">I &lt;3 NY</text></transcript>', [(1.5, 3.5, "I <3 NY")]),
        (
            '<timedtext format="3"><body><p t="1500" d="2000">Hello<br/>there</p></body></timedtext>',
            [(1.5, 3.5, "Hello there")],
        ),
        ('{"segments": [{"start": 1.5, "end": 3, "text": " Hello"}], "language": "en"}', [(1.5, 3.0, "Hello")]),
        ('[{"text": "Hello", "start": 1.5, "duration": 2}]', [(1.5, 3.5, "Hello")]),
        ('{"body": [{"from": 1.5, "to": 3, "content": "你好"}]}', [(1.5, 3.0, "你好")]),
        (
            "Dialogue: 0,0:00:01.50,0:00:03.00,Default,,0,0,0,,{\\i1}Hello{\\i0}\\Nthere, you",
            [(1.5, 3.0, "Hello there, you")],
        ),
        ("[Events]\nFormat: Start, End, Text\nDialogue: 0:00:01.5,0:00:03,Hello, you", [(1.5, 3.0, "Hello, you")]),
    ],
)
def test_it_is_read(text: str, cues: Expected) -> None:
    assert read(text) == (cues, [])


TTML = (
    '<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter" {0}><body{1}>{2}</body></tt>'
)


@pytest.mark.parametrize(
    ("root", "body", "paragraphs", "cues"),
    [
        ("", "", '<div><p begin="1.5s" dur="2s">Hello<br/>there</p></div>', [(1.5, 3.5, "Hello there")]),
        ("", ' begin="10s"', '<div begin="00:00:05.0"><p begin="1s" end="2s">Hello</p></div>', [(16.0, 17.0, "Hello")]),
        (
            "",
            ' timeContainer="seq"',
            '<p dur="2s">Hello</p><p begin="1s" dur="2s">Bye</p>',
            [(0, 2, "Hello"), (3, 5, "Bye")],
        ),
        (
            'ttp:frameRate="30" ttp:frameRateMultiplier="1000 1001"',
            "",
            '<p begin="00:00:01:15" end="90f">x</p>',
            [(1.501, 3.003, "x")],
        ),
        ('ttp:tickRate="1000"', "", '<div><p begin="1500t" end="2500t">Hello</p></div>', [(1.5, 2.5, "Hello")]),
        (
            "",
            "",
            '<div><p><span begin="1s" end="2s">one</span><span begin="3s" end="4s">two</span></p></div>',
            [(1, 2, "one"), (3, 4, "two")],
        ),
        (
            "",
            "",
            '<div><p begin="1s" end="9s">all <span begin="1s" end="2s">one</span></p></div>',
            [(1, 9, "all"), (2, 3, "one")],
        ),
        ("", "", '<div begin="1s" end="2s"><p>Hello & bye</p></div>', [(1.0, 2.0, "Hello & bye")]),
        ("", "", '<div><p begin="1s" end="2s">Hello</div>', [(1.0, 2.0, "Hello")]),  # not closed
        (
            "",
            "",
            '<div><p begin="1s" end="2s"><metadata>x</metadata><![CDATA[a < b]]></p></div>',
            [(1.0, 2.0, "a < b")],
        ),
    ],
)
def test_times_of_ttml_are_read_in_every_unit_and_within_each_other(root, body, paragraphs, cues) -> None:
    assert read(TTML.format(root, body, paragraphs)) == (cues, [])


def test_a_file_of_sami_has_a_track_for_each_language() -> None:
    text = """<SAMI><HEAD><STYLE TYPE="text/css"><!--
.KRCC {Name: Korean; lang: ko-KR;} .ENCC {Name: English; lang: en-US;}
--></STYLE></HEAD><BODY>
<SYNC Start=1000><P Class=KRCC>안녕<P Class=ENCC>I <3 NY
<SYNC Start=2000><P Class=KRCC>&nbsp;<P Class=ENCC>&nbsp;
<SYNC Start="3000ms"><P Class=ENCC>Bye<br>now"""
    korean, english = read_cues(text)
    assert (korean.language, english.language) == ("ko-KR", "en-US")
    assert [(cue.start_seconds, cue.end_seconds, cue.text.strip()) for cue in korean.cues] == [(1.0, 2.0, "안녕")]
    assert [(cue.start_seconds, cue.end_seconds, cue.text.strip()) for cue in english.cues] == [
        (1.0, 2.0, "I <3 NY"),
        (3.0, None, "Bye\nnow"),
    ]


@pytest.mark.parametrize(
    ("text", "cues", "lines"),
    [
        (
            "1\n00:00:01,000 --> 00:00:02,000\nA\n\n2\n00:00:0x,000 --> 00:00:04,000\nB\n\n3\n0:00:05 --> 0:00:06\nC",
            ["A", "C"],
            [6],
        ),
        (
            "1\n00:00:01,000 --> 00:00:02,000\nA\n\n2\nB\n\n3\n00:00:05,000 --> 00:00:06,000\nC",
            ["A", "C"],
            [5],
        ),  # no times
        ("Hello\n\n1\n00:00:01,000 --> 00:00:02,000\nA", ["A"], [1]),
        ("1\n --> 00:00:02,000\nA\n\n2\n00:00:05,000 --> 00:00:06,000\nC", ["C"], [2]),
        ("WEBVTT\n\n00:00:01.000 --> soon\nA\n\n00:05.000 --> 00:06.000\nC", ["C"], [3]),
        ("[00:01.00]A\n[0:0x.00]B\nC", ["A"], [2, 3]),
        ("{25}{50}A\n{2x}{75}B", ["A"], [2]),
        ("[10][25]A\nB", ["A"], [2]),
        ("[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,D,,0,0,0,,A\nDialogue: 0,soon,later,D,,0,0,0,,B", ["A"], [3]),
        (
            TTML.format("", "", '<div>\n<p begin="1s" end="2s">A</p>\n<p begin="soon">B</p>\n<p>C</p></div>'),
            ["A"],
            [3, 4],
        ),
        ("<SAMI><BODY>\n<SYNC Start=1000><P>A\n<SYNC Start=x><P>B</BODY></SAMI>", ["A"], [3]),
        ('<transcript><text start="1" dur="1">A</text>\n<text dur="1">B</text></transcript>', ["A"], [2]),
        (
            '{"segments": [{"start": 1, "text": "A"}, {"start": "soon", "text": "B"}, 3, {"start": 1, "text": "D"}]}',
            ["A", "D"],
            [2, 3],
        ),
        (
            '{"events": [{"tStartMs": 1000, "segs": [{"utf8": "A"}]}, {"segs": [{"utf8": "B"}]}, {"segs": 3}]}',
            ["A"],
            [2, 3],
        ),
    ],
)
def test_what_cannot_be_read_is_counted_with_its_line(text: str, cues: list[str], lines: list[int]) -> None:
    read_ones, unread = read(text)
    assert ([words for *_, words in read_ones], unread) == (cues, lines)


def test_frames_without_a_rate_are_counted() -> None:
    assert read("{25}{50}Hello", None) == ([], [1])
    assert read("1\n00:00:01:12 --> 00:00:02:00\nHello", None) == ([], [2])


def test_the_complaint_says_how_many_and_where() -> None:
    (reading,) = read_cues("{25}{50}Hello\n" + "{2x}{75}lost\n" * 7, FPS)
    assert reading.complaint is not None
    assert reading.complaint.startswith("7 of 8 cues could not be read as MicroDVD: line 2: it has no time that can be")
    assert reading.complaint.endswith("line 6: it has no time that can be read: '{2x}{75}lost'; and 2 more")
    assert read_cues("{25}{50}Hello", FPS)[0].complaint is None
    (nothing,) = read_cues("{25}{50}Hello", None)
    assert nothing.complaint is not None
    assert nothing.complaint.startswith("none of 1 cues could be read as MicroDVD: line 1: its times count frames")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\x00\x00\x01\xba" + b"\1" * 100, "VobSub"),
        (b"PG\x00\x01\x5f\x90" + b"\0" * 20, "PGS"),
        (b"850STL25.01" + b" " * 200, "EBU STL"),
        (b"PK\x03\x04" + b"x" * 50, "ZIP"),
        (b"Scenarist_SCC V1.0\n\n00:00:01:00\t9420 9420", "SCC"),
        (b"# VobSub index file, v7", "index of VobSub"),
        (b"{\\rtf1 hello}", "RTF"),
        (b"<!DOCTYPE html><html>404 Not Found</html>", "HTML"),
        (b'<window duration="30"><time begin="1"/>Hello</window>', "RealText"),
        (b"<?xml version='1.0'?><nfo><title>x</title></nfo>", "XML of another kind"),
        (b'{"segments": [{"start": 1, "te', "JSON"),
        (b'{"title": "x"}', "no list in it"),
        (b"just words", "no time in it"),
    ],
)
def test_what_is_no_form_that_is_read_is_told_by_its_name(data: bytes, name: str) -> None:
    def read_bytes() -> None:
        refuse_binary(data)
        read_cues(data.decode("latin-1"), FPS)

    with pytest.raises(UnreadableSubtitles, match=name):
        read_bytes()


@pytest.mark.parametrize("form", ["srt", "vtt", "ass", "ssa", "microdvd", "mpl2", "ttml"])
def test_what_another_program_writes_is_read_as_it_meant_it(form: str) -> None:
    subs = pysubs2.SSAFile()
    said = [(1000, 2400, "Hello\\Nthere"), (2400, 4000, "I {\\i1}like{\\i0} it"), (3_661_200, 3_662_000, "Bye & bye")]
    subs.events = [pysubs2.SSAEvent(start=start, end=end, text=text) for start, end, text in said]
    cues, unread = read(subs.to_string(form, fps=FPS), None)
    assert unread == []
    assert [words for *_, words in cues] == ["Hello there", "I like it", "Bye & bye"]
    for (start, end, _), (first, last, _) in zip(cues, said, strict=True):
        assert (start, end) == pytest.approx((first / 1000, last / 1000), abs=0.05)
