"""Makes subtitle files as people have them: every form, each with some oddities, from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

FPS = 25.0
WORDS = (
    "First we peel the onions,",
    ">> I <3 NY. >> Me too.",
    "then 3 < 4 and x > y",
    "the pan gets hot & loud",
    "玉ねぎを切ります。",
    "где лук?",
    "- Yes.",
    "call 555-0100 at 10:30",
    "it costs 2.50, not 1.25",
    "2024 was a good year",
)
ARROWS = ("-->", "->", "–>", "—>", "-- >", "=>", "→", "--&gt;", "-–>", "−−>", "－－＞")


@dataclass(frozen=True)
class Spoken:
    """A cue that was written: its times in seconds, and the words that must be found."""

    start: float
    end: float
    words: str


@dataclass(frozen=True)
class OddFile:
    """A file of cues. unreadable: number of further cues in it whose times nobody can read; their words are lost."""

    name: str
    data: bytes
    cues: tuple[Spoken, ...]
    unreadable: int = 0


def odd_files(count: int, seed: int) -> list[OddFile]:
    """Returns files of all forms in turn."""
    chance = random.Random(seed)
    makers: list[Callable[[random.Random, list[Spoken], int], OddFile]] = [
        *(_srt, _webvtt, _srt, _webvtt, _sbv, _ttml, _sami, _microdvd, _lrc, _ass)
    ]
    return [makers[number % len(makers)](chance, _spoken(chance), number) for number in range(count)]


def _spoken(chance: random.Random) -> list[Spoken]:
    """Cues one after the other, on a grid of 40 ms: frames at 25 fps, and hundredths."""
    cues, position = [], chance.randrange(0, 40)
    for _ in range(chance.randint(2, 9)):
        position += chance.randint(1, 60)
        end = position + chance.randint(10, 90)
        cues.append(Spoken(position / FPS, end / FPS, chance.choice(WORDS)))
        position = end
    return cues


# --- times ----------------------------------------------------------------------------------------------------------


def _parts(seconds: float) -> tuple[int, int, int, int]:
    milliseconds = round(seconds * 1000)
    return milliseconds // 3_600_000, milliseconds // 60_000 % 60, milliseconds // 1000 % 60, milliseconds % 1000


def _clock(chance: random.Random, seconds: float, mark: str) -> str:
    """Writes a time in one of the ways that people do; each is exact."""
    hours, minutes, rest, milliseconds = _parts(seconds)
    fraction = f"{milliseconds:03d}"
    shorter = fraction.rstrip("0") if chance.random() < 0.5 else fraction
    fraction = f"{mark}{shorter}" if shorter else chance.choice(["", f"{mark}0"])
    ways = [
        f"{hours:02d}:{minutes:02d}:{rest:02d}",
        f"{hours}:{minutes:02d}:{rest:02d}",
        f"{hours:02d}:{minutes}:{rest}",
    ]
    if hours == 0:
        ways.append(f"{minutes:02d}:{rest:02d}")
    text = chance.choice(ways) + fraction
    if chance.random() < 0.1:
        text = text.translate(str.maketrans("0123456789:,.", "０１２３４５６７８９：，．"))
    return text


BAD_TIMES = ("00:00:0x,000 --> 00:00:02,000", "0O:00:01,000 --> 00:OO:02,000", "aa:bb:cc --> dd:ee:ff")


def _noisy(chance: random.Random, text: str) -> bytes:
    """Encodes the text as files come: other line ends, marks, NUL bytes."""
    if chance.random() < 0.3:
        text = text.replace("\n", chance.choice(["\r\n", "\r"]))
    if chance.random() < 0.15:
        position = chance.randrange(len(text))
        text = f"{text[:position]}\0{text[position:]}"
    how = chance.choice(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
    data = text.encode(how)
    if how.startswith("utf-8") and chance.random() < 0.15:
        data += b"\0" * chance.choice([1, 7, 512, 4096])
    return data


# --- forms ------------------------------------------------------------------------------------------------------------


def _srt(chance: random.Random, cues: list[Spoken], number: int) -> OddFile:
    text, unreadable = _blocks(chance, cues, mark=chance.choice(",,,.:"), numbered=chance.random() < 0.8)
    return OddFile(f"{number}.srt", _noisy(chance, text), tuple(cues), unreadable)


def _webvtt(chance: random.Random, cues: list[Spoken], number: int) -> OddFile:
    text, unreadable = _blocks(chance, cues, mark=".", numbered=chance.random() < 0.4)
    head = chance.choice(["WEBVTT", "WEBVTT - made by hand", "WEBVTT\nKind: captions\nLanguage: en", "WEBVTT"])
    between = chance.choice(
        ["\n", "\n\n", "\n\n\n", "\n\nNOTE\nby hand\n\n", "\n\nSTYLE\n::cue {\n\ncolor: red\n}\n\n"]
    )
    return OddFile(f"{number}.vtt", _noisy(chance, f"{head}{between}{text}"), tuple(cues), unreadable)


def _blocks(chance: random.Random, cues: list[Spoken], *, mark: str, numbered: bool) -> tuple[str, int]:
    text, unreadable, index = "", 0, 0
    blank_after_times, blank_inside, tight = (chance.random() < 0.3 for _ in range(3))
    for cue in cues:
        if numbered and chance.random() < 0.1:
            index += 1
            unreadable += 1
            bad = chance.choice([*BAD_TIMES, ""])
            text += "" if bad or not text else "\n\n"
            text += f"{index}\n{bad}\nnobody knows when\n\n" if bad else f"{index}\nnobody knows when\n\n"
        index += 1
        if numbered:
            text += f"{index}\n" + ("\n" if chance.random() < 0.05 else "")
        exact = [_clock(chance, moment, mark) if mark != ":" else _colons(moment) for moment in (cue.start, cue.end)]
        space = chance.choice([" ", " ", " ", "", "\t"])
        settings = chance.choice(["", "", "", " align:start position:0%", " X1:10 X2:20 Y1:1 Y2:2"])
        text += f"{exact[0]}{space}{chance.choice(ARROWS)}{space}{exact[1]}{settings}\n"
        text += "\n" * (blank_after_times and chance.random() < 0.5)
        words = cue.words.replace(" ", chance.choice([" ", " ", "\n"]), 1)
        if blank_inside:
            words = words.replace("\n", "\n\n")
        text += chance.choice(["{}", "{}", "<i>{}</i>", '<font color="#fff">{}</font>', "{{\\an8}}{}"]).format(words)
        text += "\n" if tight and numbered and not cue.words[-1].isdigit() else "\n" * chance.randint(2, 4)
    return text, unreadable


def _colons(seconds: float) -> str:
    hours, minutes, rest, milliseconds = _parts(seconds)
    return f"{hours:02d}:{minutes:02d}:{rest:02d}:{milliseconds:03d}"


def _sbv(chance: random.Random, cues: list[Spoken], number: int) -> OddFile:
    def time(seconds: float) -> str:
        hours, minutes, rest, milliseconds = _parts(seconds)
        return f"{hours}:{minutes:02d}:{rest:02d}.{milliseconds:03d}"

    gap = chance.choice(["\n\n", "\n\n", "\n\n\n"])
    space = chance.choice(["", "", " "])
    blocks = [
        f"{time(cue.start)},{space}{time(cue.end)}\n{cue.words.replace(' ', chance.choice(' |'), 1)}" for cue in cues
    ]
    blocks = [block.replace("|", "\n") for block in blocks]
    return OddFile(f"{number}.sbv", _noisy(chance, gap.join(blocks) + "\n"), tuple(cues))


def _ttml(chance: random.Random, cues: list[Spoken], number: int) -> OddFile:
    namespace = chance.choice(["http://www.w3.org/ns/ttml", "http://www.w3.org/2006/04/ttaf1", ""])
    prefix = chance.choice(["", "", "tt:"]) if namespace else ""
    xmlns = f' xmlns{":tt" if prefix else ""}="{namespace}" xmlns:ttp="{namespace}#parameter"' if namespace else ""
    way = chance.choice(["clock", "seconds", "milliseconds", "frames", "clock frames", "ticks"])

    def time(seconds: float) -> str:
        hours, minutes, rest, milliseconds = _parts(seconds)
        return {
            "clock": f"{hours:02d}:{minutes:02d}:{rest:02d}.{milliseconds:03d}",
            "seconds": f"{seconds:.2f}s",
            "milliseconds": f"{round(seconds * 1000)}ms",
            "frames": f"{round(seconds * FPS)}f",
            "clock frames": f"{hours:02d}:{minutes:02d}:{rest:02d}:{round(milliseconds / 40):02d}",
            "ticks": f"{round(seconds * 10_000_000)}t",
        }[way]

    origin = chance.choice([0.0, 0.0, 10.0])
    lines, unreadable = [], 0
    for cue in cues:
        start, end = cue.start, cue.end
        times = chance.choice([f'end="{time(end)}"', f'dur="{time(end - start)}"'])
        words = escape(cue.words, quote=False).replace(" ", chance.choice([" ", f"<{prefix}br/>"]), 1)
        if chance.random() < 0.3:
            words = f"<{prefix}span tts:color='red'>{words}</{prefix}span>"
        lines.append(f'<{prefix}p begin="{time(start)}" {times}>{words}</{prefix}p>')
        if chance.random() < 0.1:
            unreadable += 1
            lines.append(f'<{prefix}p begin="soon" end="later">nobody knows when</{prefix}p>')
    shifted = f' begin="{origin:g}s"' if origin else ""
    body = f"<{prefix}div{shifted}>\n" + "\n".join(lines) + f"\n</{prefix}div>"
    text = (
        f'<?xml version="1.0"?>\n<{prefix}tt{xmlns} xml:lang="en" ttp:frameRate="25" ttp:tickRate="10000000">\n'
        f"<{prefix}head><{prefix}styling><{prefix}style xml:id='s'/></{prefix}styling></{prefix}head>\n"
        f"<{prefix}body>{body}</{prefix}body>\n</{prefix}tt>\n"
    )
    suffix = chance.choice(["ttml", "dfxp"])
    return OddFile(f"{number}.{suffix}", _noisy(chance, text), _moved(cues, origin), unreadable)


def _moved(cues: list[Spoken], seconds: float) -> tuple[Spoken, ...]:
    return tuple(Spoken(cue.start + seconds, cue.end + seconds, cue.words) for cue in cues)


def _sami(chance: random.Random, cues: list[Spoken], number: int) -> OddFile:
    upper = chance.random() < 0.5
    quote = chance.choice(["", '"'])
    closed = chance.choice(["", "</P>", "</P></SYNC>"])
    lines, unreadable = [], 0
    for cue in cues:
        words = escape(cue.words, quote=False) if chance.random() < 0.5 else cue.words.replace("&", "&amp;")
        words = words.replace(" ", chance.choice([" ", "<br>", "<BR/>"]), 1)
        start, end = round(cue.start * 1000), round(cue.end * 1000)
        lines.append(f"<SYNC Start={quote}{start}{quote}><P Class=ENCC>{words}{closed}")
        lines.append(f"<SYNC Start={quote}{end}{quote}><P Class=ENCC>&nbsp;{closed}")
        if chance.random() < 0.1:
            unreadable += 1
            lines.append(f"<SYNC Start=soon><P Class=ENCC>nobody knows when{closed}")
    head = "<HEAD><STYLE><!--\n.ENCC {Name: English; lang: en-US;}\n--></STYLE></HEAD>"
    text = f"<SAMI>\n{head}\n<BODY>\n" + "\n".join(lines) + chance.choice(["\n</BODY>\n</SAMI>\n", "\n"])
    if not upper:
        for name in ("SAMI", "SYNC", "BODY", "HEAD", "STYLE", "Start", "Class", "P "):
            text = text.replace(name, name.lower())
    return OddFile(f"{number}.smi", _noisy(chance, text), tuple(cues), unreadable)


def _microdvd(chance: random.Random, cues: list[Spoken], number: int) -> OddFile:
    rate = chance.choice([None, 23.976, 29.97, 50.0])
    frames = rate or FPS
    lines = [] if rate is None else [f"{{1}}{{1}}{rate:g}"]
    written, unreadable = [], 0
    for cue in cues:
        start, end = round(cue.start * frames), round(cue.end * frames)
        style = chance.choice(["", "", "{Y:i}", "{c:$0000ff}"])
        lines.append(f"{{{start}}}{{{end}}}{style}{cue.words.replace(' ', chance.choice(' |'), 1)}")
        written.append(Spoken(start / frames, end / frames, cue.words))
        if chance.random() < 0.1:
            unreadable += 1
            lines.append("{12{nobody knows when")
    return OddFile(f"{number}.sub", _noisy(chance, "\n".join(lines) + "\n"), tuple(written), unreadable)


def _lrc(chance: random.Random, cues: list[Spoken], number: int) -> OddFile:
    digits = chance.choice([2, 2, 3])

    def tag(seconds: float) -> str:
        hours, minutes, rest, milliseconds = _parts(seconds)
        fraction = f"{milliseconds:03d}"[:digits]
        return f"[{60 * hours + minutes:02d}:{rest:02d}{chance.choice('...:')}{fraction}]"

    offset = chance.choice([0, 0, 500, -200])
    lines = ["[ar:Nobody]", "[length:03:20]", *([f"[offset:{offset:+d}]"] if offset else [])]
    unreadable = 0
    for cue in cues:
        lines += [f"{tag(cue.start)}{chance.choice(['', ' '])}{cue.words}", tag(cue.end)]
        if chance.random() < 0.1:
            unreadable += 1
            lines.append("[0x:12.00]nobody knows when")
    return OddFile(f"{number}.lrc", _noisy(chance, "\n".join(lines) + "\n"), _moved(cues, -offset / 1000), unreadable)


def _ass(chance: random.Random, cues: list[Spoken], number: int) -> OddFile:
    def time(seconds: float) -> str:
        hours, minutes, rest, milliseconds = _parts(seconds)
        return f"{hours}:{minutes:02d}:{rest:02d}.{milliseconds // 10:02d}"

    fields = ["Layer", "Start", "End", "Style", "Name", "MarginL", "MarginR", "MarginV", "Effect", "Text"]
    if chance.random() < 0.3:
        fields = ["Start", "End", "Style", "Text"]
    lines, unreadable = [], 0
    for cue in cues:
        cells = {"Start": time(cue.start), "End": time(cue.end), "Style": "Default", "Layer": "0"}
        cells["Text"] = chance.choice(["", "{\\i1}", "{\\an8}"]) + cue.words.replace(
            " ", chance.choice([" ", "\\N"]), 1
        )
        lines.append("Dialogue: " + ",".join(cells.get(name, "") for name in fields))
        if chance.random() < 0.1:
            unreadable += 1
            lines.append("Dialogue: nobody knows when")
    head = chance.choice(["[Script Info]\nScriptType: v4.00+\n\n", ""])
    text = f"{head}[Events]\nFormat: {', '.join(fields)}\n" + "\n".join(lines) + "\n"
    return OddFile(f"{number}.ass", _noisy(chance, text), tuple(cues), unreadable)
