"""A video with sound, and copies of it with subtitle streams."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.stream import Disposition
from av.subtitles.subtitle import SubtitleSet

from internvid.synthetic.plans import Backdrop, Figure, Shot, VideoPlan
from internvid.synthetic.render import render

START_SECONDS = 2.0  # of the video's first frame, by the container's clock: not 0, so that no time is right by accident

STYLES = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
Spoken = tuple[float, float, str]  # start and end in seconds from the first frame, and words


@pytest.fixture(scope="session")
def spoken_plan() -> VideoPlan:
    """Four seconds with sound, whose first frame is shown at START_SECONDS."""
    shots = (
        Shot(20, Backdrop("flat", "blue"), (Figure("circle", "pink", "moving right"),)),
        Shot(20, Backdrop("noise", "grey", 1)),
    )
    return VideoPlan("spoken", shots, width=160, height=120, fps=10, sound=True, start_seconds=START_SECONDS)


@pytest.fixture(scope="session")
def spoken_video(spoken_plan: VideoPlan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(spoken_plan, tmp_path_factory.mktemp("spoken"))


@pytest.fixture(scope="session")
def with_streams(spoken_video: Path) -> Callable[..., Path]:
    """with_streams(path, [(codec, language, cues, disposition)]): the video at `path`, with these subtitle streams."""

    def muxed(path: Path, streams: Sequence[tuple[str, str, Sequence[Spoken], Disposition]]) -> Path:
        with av.open(str(spoken_video)) as source, av.open(str(path), "w") as copy:
            copies = {stream.index: copy.add_stream_from_template(stream) for stream in source.streams}
            packets = [_encoded(copy.add_stream(codec), language, cues, how) for codec, language, cues, how in streams]
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = copies[packet.stream.index]
                    copy.mux(packet)
            for stream_packets in packets:
                copy.mux(stream_packets)
        return path

    return muxed


def _encoded(stream, language: str, cues: Sequence[Spoken], disposition: Disposition) -> list[av.Packet]:
    stream.codec_context.subtitle_header = STYLES.replace("\n", "\r\n").encode()
    stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
    stream.metadata["language"] = language
    stream.disposition = disposition
    packets = []
    for number, (start, end, text) in enumerate(cues):
        milliseconds, lasts = round(1000 * (START_SECONDS + start)), round(1000 * (end - start))
        shown = SubtitleSet.create(f"{number},0,Default,,0,0,0,,{text}".encode(), 0, lasts)
        packet = stream.codec_context.encode_subtitle(shown)
        packet.stream, packet.time_base = stream, Fraction(1, 1000)
        packet.pts = packet.dts = milliseconds
        packet.duration = lasts
        packets.append(packet)
    return packets
