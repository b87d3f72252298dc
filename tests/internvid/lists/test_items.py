"""Lists of videos in every format: which column is the address, and how broken rows are reported."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from internvid.lists.items import Item, read_items
from internvid.lists.rows import ROWS_PER_CHUNK, BadItem, read_rows


def items(path: Path) -> list[Item | BadItem]:
    return [item for chunk in read_items(path) for item in chunk]


def test_a_csv_of_a_spreadsheet_is_read_with_its_quotes_commas_line_breaks_byte_order_mark_and_line_ends(tmp_path):
    path = tmp_path / "list.csv"
    text = (
        "Title,Video URL,Channel,lang,Query,Duration\r\n"
        '"One, ""two""\r\nand three",https://a.example/1,Ann,en,a dog,1:02.5\r\n'
        "\r\n"
        ",https://a.example/2,,,,\r\n"
        "four,https://a.example/4,Ann,,,soon\r\n"
    )
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert items(path) == [
        Item(2, "https://a.example/1", 'One, "two"\r\nand three', "Ann", "en", "a dog", 62.5),
        Item(5, "https://a.example/2"),
        Item(6, "https://a.example/4", "four", "Ann"),
    ]


def test_a_broken_row_of_a_csv_is_told_with_its_line_and_the_others_are_read(tmp_path):
    path = tmp_path / "list.csv"
    path.write_bytes(
        b"url,title\n"
        b"https://a.example/1,one\n"
        b",two\n"
        b"https://a.example/3,three,more\n"
        b"https://a.example/4,caf\xe9\n"
        b"https://a.example/\x01,five\n"
        b"https://a.example/6,six\n"
        b'https://a.example/7,"seven" or eight\n'
        b'https://a.example/8,"eight\n'
        b"https://a.example/9,nine\n"
    )
    listed = items(path)
    assert [listed[0], listed[5]] == [
        Item(2, "https://a.example/1", "one"),
        Item(7, "https://a.example/6", "six"),
    ]
    assert listed[1] == BadItem(3, "nothing stands in its column url")
    assert listed[2] == BadItem(4, "it has 3 cells, the header names 2")
    assert listed[3] == BadItem(5, "it is not UTF-8: save the file as UTF-8")
    assert listed[4] == BadItem(6, "its address holds control characters: 'https://a.example/\\x01'")
    assert listed[6] == BadItem(8, "not readable as csv: ',' expected after '\"'")
    # Its title would take in all that follows.
    why = "not readable as csv: unexpected end of data (up to line 10: is a quote not closed?)"
    assert listed[7:] == [BadItem(9, why)]


@pytest.mark.parametrize("column", ["url", "URL", "video_url", "contentUrl", "Link", "path", "file", "URI"])
def test_the_column_that_holds_the_address_is_found_by_name(tmp_path, column):
    path = tmp_path / "list.tsv"
    path.write_text(f"title\t{column}\none, two\thttps://a.example/1\n")
    assert items(path) == [Item(2, "https://a.example/1", "one, two")]


@pytest.mark.parametrize("column", ["YoutubeID", "youtube_id", "videoID", "video_id"])
def test_an_id_of_youtube_becomes_its_address_and_another_id_is_told(tmp_path, column):
    path = tmp_path / "list.csv"
    path.write_text(f"{column}\nHdYoyzCSWyw\n1234567\n")
    good, bad = items(path)
    assert good == Item(2, "https://www.youtube.com/watch?v=HdYoyzCSWyw")
    assert isinstance(bad, BadItem)
    assert (bad.row, "1234567" in bad.why) == (3, True)


def test_an_address_stands_before_an_id(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("videoid,contentUrl\n1024,https://a.example/1.mp4\n")
    assert items(path) == [Item(2, "https://a.example/1.mp4")]


def test_a_text_file_is_one_address_a_line_with_comments(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("# my videos\n\nhttps://a.example/1#t=5  \r\n../video.mp4\n")
    assert items(path) == [Item(3, "https://a.example/1#t=5"), Item(4, "../video.mp4")]


def test_json_lines_are_read_one_by_one(tmp_path):
    path = tmp_path / "list.jsonl"
    path.write_text('{"URL": "https://a.example/1", "duration": 12}\n{broken\n[1]\n{"title": "no address"}\n')
    listed = items(path)
    assert listed[0] == Item(1, "https://a.example/1", seconds=12.0)
    assert [item.row for item in listed[1:] if isinstance(item, BadItem)] == [2, 3, 4]
    assert [item.why.split(":")[0] for item in listed[1:] if isinstance(item, BadItem)] == [
        "not JSON",
        "not a JSON object, {…}",
        "nothing stands in its column url",
    ]


def test_of_parquet_only_the_columns_of_use_are_read(tmp_path):
    path = tmp_path / "list.parquet"
    pq.write_table(pa.table({"YoutubeID": ["HdYoyzCSWyw", None], "vector": [[0.0], [1.0]], "Title": ["one", ""]}), path)
    assert items(path) == [
        Item(1, "https://www.youtube.com/watch?v=HdYoyzCSWyw", "one"),
        BadItem(2, "nothing stands in its column youtubeid"),
    ]
    assert [row.cells for chunk in read_rows(path, {"title"}) for row in chunk] == [{"title": "one"}, {"title": ""}]


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("list.csv", "https://a.example/1\nhttps://a.example/2\n", "no column says where a video is"),
        ("list.csv", "name,size\na,1\n", "name, size"),
        ("list.csv", "url,URL\na,b\n", "several columns are called url"),
        ("list.csv", "", "is empty"),
        ("list.xlsx", "url\n", r"ends in \.csv, \.tsv"),
        ("list.json", '[{"url": "https://a.example/1"}', "no JSON document, or not all of one"),
    ],
)
def test_a_file_that_is_no_list_says_what_to_do(tmp_path, name, text, why):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ValueError, match=why):
        items(path)


def test_a_long_list_comes_in_chunks_and_a_broken_end_does_not_take_what_came_before(tmp_path):
    path = tmp_path / "list.json"
    rows = ", ".join(json.dumps({"url": f"https://a.example/{number}"}) for number in range(ROWS_PER_CHUNK + 1))
    path.write_text(f"[{rows}, ")
    chunks: Iterator[list[Item | BadItem]] = read_items(path)
    first = next(chunks)
    assert first[-1] == Item(ROWS_PER_CHUNK, f"https://a.example/{ROWS_PER_CHUNK - 1}")
    with pytest.raises(ValueError, match="not all of one"):
        list(chunks)


def test_a_cell_may_be_longer_than_the_csv_module_takes_by_itself(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(f"url,title\nhttps://a.example/1,{'x' * 200_000}\n")
    (item,) = items(path)
    assert isinstance(item, Item)
    assert len(item.title or "") == 200_000


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("dQw4w9WgXcQ", "https://www.youtube.com/watch?v=dQw4w9WgXcQ"),
        ("-076WPWoCRE", "https://www.youtube.com/watch?v=-076WPWoCRE"),
        ("youtube.com/watch?v=dQw4w9WgXcQ&t=3", "https://youtube.com/watch?v=dQw4w9WgXcQ&t=3"),
        ("www.youtube.com/shorts/dQw4w9WgXcQ", "https://www.youtube.com/shorts/dQw4w9WgXcQ"),
        ("youtu.be/dQw4w9WgXcQ", "https://youtu.be/dQw4w9WgXcQ"),
        ("//vimeo.com/1084537", "https://vimeo.com/1084537"),
        ("youtube dQw4w9WgXcQ", "https://www.youtube.com/watch?v=dQw4w9WgXcQ"),
        ("vimeo 1084537", "https://vimeo.com/1084537"),
        ("- https://a.example/1", "https://a.example/1"),
        ('"https://a.example/1",', "https://a.example/1"),
        ("<https://a.example/1>", "https://a.example/1"),
        ("https://a.example/1  # the best", "https://a.example/1"),
        ("https://a.example/1#t=3", "https://a.example/1#t=3"),
        ("videos/clip.mp4", "videos/clip.mp4"),
        ("my.films/clip.mp4", "my.films/clip.mp4"),
        ("my holidays", None),
        ("documentary", "documentary"),  # a file of that name is there
        ("www.files/clip.mp4", "www.files/clip.mp4"),  # and this one
    ],
)
def test_a_line_of_text_may_be_a_bare_id_a_url_without_its_scheme_or_a_line_of_an_archive(tmp_path, line, address):
    (tmp_path / "documentary").touch()
    (tmp_path / "www.files").mkdir()
    (tmp_path / "www.files" / "clip.mp4").touch()
    path = tmp_path / "list.txt"
    path.write_text(f"{line}\n")
    (item,) = items(path)
    if address is None:
        assert isinstance(item, BadItem)
        assert "line of yt-dlp's archive" in item.why
    else:
        assert item == Item(1, address)


def test_a_row_with_a_list_of_videos_names_each(tmp_path):
    path = tmp_path / "list.jsonl"
    path.write_text(json.dumps({"videos": ["a.mp4", "https://a.example/1"], "title": "both"}))
    assert items(path) == [Item(1, "a.mp4", "both"), Item(1, "https://a.example/1", "both")]
