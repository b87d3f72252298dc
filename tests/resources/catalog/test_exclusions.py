"""What never enters, by files: ids of benchmarks, and videos, channels and hosts that opted out."""

from __future__ import annotations

from pathlib import Path

import pytest

from resources.catalog.admission import Admission
from resources.catalog.exclusions import Exclusions

IN_BENCHMARK = ("InBenchmark", "a video of a benchmark: no model that is measured on it may be trained on it")
CHANNEL = "UCabcdefghijklmnopqrstuv"


def watch(video: str) -> str:
    return f"https://www.youtube.com/watch?v={video}"


def written(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_nothing_is_refused_without_files():
    exclusions = Admission().exclusions()

    assert exclusions.refuses(watch("aaaaaaaaaaa"), "aaaaaaaaaaa", CHANNEL, "Somebody") is None
    assert exclusions.refuses("file:///videos/one.mp4") is None


def test_a_benchmark_is_excluded_in_the_forms_in_which_benchmarks_write_ids(tmp_path: Path):
    lists = [
        written(
            tmp_path / "ids.txt",
            *("# Kinetics and others", "aaaaaaaaaaa", "", "-_bbbbbbbbb_000010_000020", "ccccccccccc_33_46.avi"),
            *("v_ddddddddddd", "https://youtu.be/eeeeeeeeeee?t=10", "https://example.org/videos/1.mp4#t=3  # a video"),
        ),
        written(tmp_path / "k.csv", "label,youtube_id,time_start", "run,fffffffffff,3", '"a, b",ggggggggggg,4'),
        written(tmp_path / "m.tsv", "YoutubeID\tcaption", "hhhhhhhhhhh\tA dog runs."),
    ]
    exclusions = Exclusions.read(benchmark_files=lists)

    listed = ["aaaaaaaaaaa", "-_bbbbbbbbb", *(letter * 11 for letter in "cdefgh")]
    assert [exclusions.refuses(watch(video)) for video in listed] == [IN_BENCHMARK] * len(listed)
    assert exclusions.refuses("https://example.org/videos/1.mp4") == IN_BENCHMARK
    assert exclusions.refuses(watch("zzzzzzzzzzz"), "zzzzzzzzzzz") is None
    assert exclusions.refuses("https://vimeo.com/aaaaaaaaaaa", "aaaaaaaaaaa") is None, "another site's id"


def test_videos_channels_and_hosts_opt_out(tmp_path: Path):
    file = written(
        tmp_path / "opt-outs.txt",
        *("# asked for in spring", "https://m.youtube.com/watch?v=aaaaaaaaaaa&t=3", "bbbbbbbbbbb", "id:1234"),
        *(CHANNEL, "https://www.youtube.com/channel/UCzzzzzzzzzzzzzzzzzzzzzz/videos", "channel: Mia's  Kitchen"),
        *("example.org", "https://videos.example.com/", "https://example.net/a.mp4?id=1", "host:localhost"),
    )
    exclusions = Exclusions.read(opt_out_files=[file])

    of_video, of_channel = ("OptedOut", "the video was opted out"), "OptedOut"
    assert exclusions.refuses(watch("aaaaaaaaaaa"), "aaaaaaaaaaa") == of_video
    assert exclusions.refuses(watch("bbbbbbbbbbb"), "bbbbbbbbbbb") == of_video
    assert exclusions.refuses("https://vimeo.com/1234", "1234") == of_video
    assert exclusions.refuses("https://example.net/a.mp4?id=1") == of_video
    assert exclusions.refuses(watch("ccccccccccc"), None, CHANNEL, "Mia") == (of_channel, "the channel Mia opted out")
    assert exclusions.refuses(watch("ccccccccccc"), None, "UC" + "z" * 22, None) == (
        of_channel,
        f"the channel UC{'z' * 22} opted out",
    )
    assert exclusions.refuses(watch("ccccccccccc"), None, None, "MIA'S Kitchen") == (
        of_channel,
        "the channel MIA'S Kitchen opted out",
    )
    hosts = ["https://example.org/1", "https://www.example.org/1", "http://cdn.example.org:8080/1"]
    assert [exclusions.refuses(url) for url in hosts] == [("OptedOut", "example.org opted out")] * 3
    assert exclusions.refuses("https://videos.example.com/x/y.mp4") == ("OptedOut", "videos.example.com opted out")
    assert exclusions.refuses("http://localhost:8000/x") == ("OptedOut", "localhost opted out")

    others = ["https://example.com/1", "https://notexample.org/1", "https://example.net/a.mp4?id=2", "file:///a.mp4"]
    assert [exclusions.refuses(url, "5", "UC", "Mia") for url in others] == [None] * 4


def test_several_files_are_read(tmp_path: Path):
    files = [written(tmp_path / "1.txt", "aaaaaaaaaaa"), written(tmp_path / "2.txt", "bbbbbbbbbbb")]
    opt_outs = [written(tmp_path / "3.txt", "example.org")]

    exclusions = Admission(benchmark_ids=files, opt_outs=opt_outs).exclusions()

    assert exclusions.refuses(watch("aaaaaaaaaaa")) == IN_BENCHMARK
    assert exclusions.refuses(watch("bbbbbbbbbbb")) == IN_BENCHMARK
    assert exclusions.refuses("https://example.org/") == ("OptedOut", "example.org opted out")


@pytest.mark.parametrize(
    ("name", "lines", "said"),
    [
        ("a.txt", ["aaaaaaaaaaa", "video7010"], "a.txt:2: 'video7010' is neither a YouTube id nor a URL"),
        ("a.txt", ["ftp://example.org/1"], "a.txt:1: .*no http or https URL"),
        ("a.csv", ["name,split", "one,train"], "a.csv:1: no column of ids"),
        ("a.csv", ["id,split", "aaaaaaaaaaa,x", ",train"], "a.csv:3: the cell of id is empty"),
    ],
)
def test_a_benchmark_file_that_cannot_be_understood_names_the_line(
    tmp_path: Path, name: str, lines: list[str], said: str
):
    with pytest.raises(ValueError, match=said):
        Exclusions.read(benchmark_files=[written(tmp_path / name, *lines)])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Mia's Kitchen", 'o.txt:2: "Mia\'s Kitchen" is no URL, YouTube id, channel id .* write url:, id:'),
        ("@mia", "o.txt:2: '@mia' is no URL"),
        ("https://www.youtube.com/@mia", "o.txt:2: .*give the channel's id"),
        ("file:///videos/1.mp4", "o.txt:2: .*no http or https URL"),
    ],
)
def test_an_opt_out_that_would_not_take_effect_is_an_error_that_names_the_line(tmp_path: Path, line: str, said: str):
    with pytest.raises(ValueError, match=said):
        Exclusions.read(opt_out_files=[written(tmp_path / "o.txt", "example.org", line)])


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path):
    with pytest.raises(
        ValueError, match=r"gone.txt does not exist: INTERNVID_BENCHMARK_IDS and INTERNVID_OPT_OUTS name"
    ):
        Exclusions.read(opt_out_files=[str(tmp_path / "gone.txt")])
