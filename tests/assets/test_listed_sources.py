"""Lists of videos as sources: URLs and ids of the web, files, and rows that name nothing."""

from pathlib import Path

import pytest

from resources.catalog.lists import register_list
from resources.catalog.tombstones import Names, begin, end
from resources.catalog.web import WebSource, register_web, source_id_of
from resources.media.store import Media


@pytest.fixture
def media(tmp_path: Path) -> Media:
    return Media(root=str(tmp_path / "media"), workers=1)


def test_urls_ids_and_files_are_sources_and_what_names_no_video_is_told_by_its_row(
    lake, media, synthetic_video, tmp_path
):
    synthetic_video(tmp_path, "beside the list.mp4", 1)
    file = tmp_path / "list.csv"
    file.write_text(
        "url,title,seconds\n"
        "https://example.org/a.mp4#t=3,A,60\n"
        "https://youtu.be/abcdefghijk?si=x,B,\n"
        "beside the list.mp4,,\n"
        "missing.mp4,,\n"
        "ftp://example.org/b.mp4,,\n"
        ",C,\n"
        "https://EXAMPLE.org/a.mp4,A again,\n"
    )
    registered, bad = register_list(lake, media, file, run_id="test")
    assert (registered.new, registered.unchanged, bad) == (3, 1, 3)
    sources = lake.polars("sources").sort("uri").to_dicts()
    assert [(row["uri"].rsplit("/", 1)[1], row["kind"], row["site"], row["title"]) for row in sources] == [
        ("beside%20the%20list.mp4", "file", None, None),
        ("a.mp4", "web", "example.org", "A"),
        ("watch?v=abcdefghijk", "web", "youtube.com", "B"),
    ]
    assert {row["found_by"] for row in sources} == {None, "list.csv"}
    failures = lake.polars("attempts").sort("label").to_dicts()
    assert [row["label"].rpartition(", ")[2] for row in failures] == ["row 5", "row 6", "row 7"]
    assert {(row["stage"], row["outcome"], row["error_class"]) for row in failures} == {("lists", "failed", "BadRow")}

    file.write_text("url\nhttps://example.org/a.mp4\n")
    registered, bad = register_list(lake, media, file, run_id="again")
    assert (registered.new, registered.unchanged, bad) == (0, 1, 0)
    assert lake.polars("attempts").is_empty(), "the list says nothing wrong any more"


def test_what_was_forgotten_is_left_out(lake):
    url = "https://example.org/a.mp4"
    names = Names(urls=frozenset([url]))
    begin(lake, names, reason=None, run_id="test")
    end(lake, names)
    registered = register_web(lake, [WebSource(f"{url}#x"), WebSource(f"{url}?v=2")], found_by=None, run_id="test")
    assert (registered.new, registered.left_out) == (1, 1)
    assert source_id_of(url) not in lake.polars("sources")["source_id"].to_list()
