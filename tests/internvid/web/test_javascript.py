"""Which program runs YouTube's JavaScript. The programs are scripts that print a version, as yt-dlp expects."""

import sys
from pathlib import Path

import pytest
import yt_dlp

from internvid.web.errors import UnknownTrouble
from internvid.web.javascript import javascript_runtime, runtime_name, youtube_readiness

WARNING = "No supported JavaScript runtime could be found"


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """programs(deno="deno 2.4.0"): the only ones in PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))

    def made(**outputs):
        for name, output in outputs.items():
            path = tmp_path / name
            path.write_text(f"#!/bin/sh\necho '{output}'\n")
            path.chmod(0o755)
        return tmp_path

    return made


def test_without_any_it_says_what_to_install(programs):
    programs()
    assert javascript_runtime() is None
    assert youtube_readiness() == (
        "YouTube needs a JavaScript runtime, and there is none: pip install deno, or node 22 or newer"
    )


def test_one_that_is_too_old_is_named(programs):
    folder = programs(node="v20.20.2")
    assert javascript_runtime() is None
    assert f"({folder}/node is too old for yt-dlp)" in youtube_readiness()


def test_the_first_that_is_new_enough_is_taken(programs):
    folder = programs(deno="deno 1.40.0 (release)", node="v22.1.0", bun="1.2.11")
    assert javascript_runtime() == f"{folder}/node"
    assert youtube_readiness() is None
    programs(deno="deno 2.4.0 (release)")
    assert javascript_runtime() == f"{folder}/deno"


def test_runtimes_are_known_by_the_names_of_their_programs():
    paths = ("/x/deno", "/x/node", "/x/node22", "/x/bun", "/x/qjs-ng", "C:/deno.exe")
    assert [runtime_name(path) for path in paths] == ["deno", "node", "node", "bun", "quickjs", "deno"]
    with pytest.raises(ValueError, match="python3 is no JavaScript runtime that yt-dlp knows"):
        runtime_name("/usr/bin/python3")


def video_without_formats() -> None:
    """Extracts a YouTube video whose formats could not be read, with yt-dlp's warning."""
    from internvid.web.session import Session, single_video
    from internvid.web.settings import DownloadSettings

    class Youtube(Session):
        def extract_info(self, *_, **__):
            self.report_warning(f"[youtube] {WARNING}")
            self.report_error("Requested format is not available")

    single_video(Youtube(DownloadSettings()), "https://www.youtube.com/watch?v=dQw4w9WgXcQ")


def test_a_video_that_lacks_formats_because_a_runtime_lacks_is_worth_another_try(in_child):
    source = Path(yt_dlp.__file__).parent / "extractor" / "youtube" / "_video.py"
    assert WARNING in source.read_text(encoding="utf-8"), "yt-dlp words it otherwise now"
    with pytest.raises(UnknownTrouble, match=f"(?s)format is not available.*{WARNING}"):
        in_child(video_without_formats)
