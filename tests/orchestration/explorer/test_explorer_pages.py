"""The explorer's pages over HTTP: search and its counts, a clip's page, and whatever texts hold."""

from __future__ import annotations

import re
import shutil
from html import unescape
from pathlib import Path
from urllib.parse import quote

import polars as pl
import pytest

from internvid.text.search_terms import indexed_terms

HOSTILE = {
    "script": "<script>alert('x')</script><img src=x onerror=alert(1)>",
    "quotes": "\"' onmouseover='alert(1)' {{ 7 * 7 }} </title></textarea>",
    "right to left": "رجل يمشي مع كلبه \u202e في الحديقة",
    "emoji": "👩‍👩‍👧‍👦 plays 🎾 in 東京",
    "long": "A very long caption of a dog. " * 400,
}


def _counts(text: str, facet: str) -> dict[str, int]:
    """The values of a facet on the page, with the clips of each."""
    rows = re.findall(rf'name="{facet}" value="([^"]*)".*?<span class="count">([\d,]+)</span>', text)
    return {unescape(value): int(count.replace(",", "")) for value, count in rows}


def test_the_search_lists_every_clip_with_the_counts_of_each_filter(served):
    lake = served.lake
    clips = lake.query("select clip_id from clips order by ingest_batch, video_id, start_seconds")[
        "clip_id"
    ].to_pylist()
    assert served.clip_ids("/") == clips
    text = served.get("/").text
    flags = [flag for row in lake.query("select flags from clips")["flags"].to_pylist() for flag in row or ["none"]]
    assert _counts(text, "flag") == {flag: flags.count(flag) for flag in set(flags)}
    assert _counts(text, "subset") == {"all": len(lake.query("select 1 from subsets"))}
    spoken = lake.query("select count(*) as n from transcripts where text <> ''")["n"][0].as_py()
    assert _counts(text, "language") == {"en": spoken}
    assert _counts(text, "site") == {"files": len(clips)}


def test_filters_leave_the_clips_that_sql_leaves(served):
    lake = served.lake
    spoken = lake.query("select clip_id from transcripts where text <> ''")["clip_id"].to_pylist()
    assert sorted(served.clip_ids("/?language=en")) == sorted(spoken)
    score = lake.query("select median(value) as m from clip_scores where score = 'aesthetics'")["m"][0].as_py()
    above = lake.query(
        "select clip_id from clip_scores where score = 'aesthetics' and value >= $m::float order by value desc",
        {"m": score},
    )["clip_id"].to_pylist()
    assert served.clip_ids(f"/?min.score.aesthetics={score:.6g}&sort=highest-aesthetics") == above
    # Counts of a facet are over what the other filters leave.
    counted = _counts(served.get(f"/?min.score.aesthetics={score:.6g}&language=en").text, "language")
    assert counted == {"en": len(set(above) & set(spoken))}
    video = lake.query("select video_id from clips limit 1")["video_id"][0].as_py()
    of_video = lake.query("select clip_id from clips where video_id = $v", {"v": video})["clip_id"].to_pylist()
    assert sorted(served.clip_ids(f"/?video={video}")) == sorted(of_video)


def test_words_are_found_in_captions_and_in_speech(served):
    hits = served.lake.query("select clip_id from transcripts where text ilike '%boats%'")["clip_id"].to_pylist()
    assert served.clip_ids("/?q=boats") == hits != []
    row = served.lake.query("select clip_id, caption from clip_captions limit 1").to_pylist()[0]
    assert row["clip_id"] in served.clip_ids(f"/?q={row['caption'].replace(' ', '+')}")
    assert served.clip_ids("/?q=zeppelin") == []
    assert served.clip_ids("/?q=boats&language=en") == hits


@pytest.mark.parametrize(
    "query",
    [
        "language=en' or 1=1 --",
        "language=tlh",
        "subset=; drop table clips",
        "min.seconds=1 or 1=1",
        "min.seconds=nan",
        "max.motion=1e999",
        "min.score.unknown=1",
        "min.clip_id=1",
        "sort=clip_id; drop table clips",
        "page=0",
        "page=-1",
        "page=99999999999999999999",
        "like=../../etc/passwd",
        "video='",
        "unknown=1",
        "q=a&q=b",
        "q=" + "x" * 1_001,
    ],
)
def test_a_filter_that_cannot_be_is_refused_and_named(served, query):
    name, _, value = query.partition("=")
    answer = served.get(f"/?{name}={quote(value, safe='&=')}")
    assert answer.status == 400
    assert "Traceback" not in answer.text
    assert "That cannot be asked" in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/clips/nothing",
        "/clips/nothing/story",
        "/clips/nothing/playable",
        "/clips/nothing/converted.mp4",
        "/clips/nothing/frame.jpg",
        "/frames/nothing.jpg",
        "/videos/nothing",
        "/videos/nothing/file",
        "/videos/..%2f..%2fetc%2fpasswd/file",
        "/static/x/..%2fapp.py",
        "/static/x/app.py",
        "/pictures/nothing",
        "/?like=nothing",
        "/etc/passwd",
        "/docs",
        "/openapi.json",
    ],
)
def test_what_is_not_there_is_a_page_that_says_so(served, path):
    answer = served.get(path)
    assert answer.status == 404
    assert "<h1>Not here</h1>" in answer.text


def test_the_page_of_a_clip_holds_what_the_lake_knows(served):
    lake = served.lake
    clip = lake.query(
        "select clip_id, video_id, caption from transcripts inner join clip_captions using (clip_id, video_id) limit 1"
    ).to_pylist()[0]
    text = served.get(f"/clips/{clip['clip_id']}").text
    plain = " ".join(unescape(re.sub("<[^>]+>", "", text)).split())
    assert clip["caption"] in plain
    assert re.search(r'<span class="noun">\w+</span>', text)
    assert "Hello and welcome to the harbour." in plain
    for row in lake.query("select * from clip_scores").to_pylist():
        if row["clip_id"] == clip["clip_id"]:
            assert row["model"] in plain
    frames = lake.query("select frame_id from frames where clip_id = $c", {"c": clip["clip_id"]})["frame_id"]
    assert all(f"/frames/{frame}.jpg" in text for frame in frames.to_pylist())
    siblings = lake.query("select clip_id from clips where video_id = $v", {"v": clip["video_id"]})["clip_id"]
    assert all(f'href="/clips/{sibling}"' in text for sibling in siblings.to_pylist())
    story = served.get(f"/clips/{clip['clip_id']}/story").text
    versions = lake.query("select distinct version from clips")["version"].to_pylist()
    assert all(version in unescape(story) for version in versions)
    assert 'href="/?subset=all"' in story
    assert served.get(f"/frames/{frames[0].as_py()}.jpg").body[:2] == b"\xff\xd8"


@pytest.mark.parametrize("name", HOSTILE)
def test_texts_of_any_kind_are_shown_and_do_nothing(copied, serve, name):
    served = serve(copied)
    caption = HOSTILE[name]
    (clip_id,) = served.lake.query("select clip_id from clip_captions limit 1")["clip_id"].to_pylist()
    rows = served.lake.polars("clip_captions").filter(pl.col("clip_id") == clip_id)
    texts = {"caption": caption, "caption_terms": indexed_terms(caption), "provenance": "changed"}
    served.lake.upsert("clip_captions", rows.with_columns(*(pl.lit(value).alias(key) for key, value in texts.items())))
    source = served.lake.polars("sources").with_columns(title=pl.lit(caption), written_at=pl.col("written_at"))
    served.lake.upsert("sources", source)
    for path in (f"/clips/{clip_id}", "/", f"/?like={clip_id}", f"/?video={clip_id[:16]}"):
        answer = served.get(path)
        assert answer.status == 200
        assert answer.text.count("<script") == answer.text.count("<script src=")
        assert not re.search(r"<img[^>]*onerror|<[^>]+onmouseover=", answer.text)
        assert " ".join(caption.split())[:20] in " ".join(
            unescape(re.sub(r"</?(span|bdi)[^>]*>", "", answer.text)).split()
        )


def test_a_lake_whose_folder_is_gone_is_a_clear_page_until_it_is_back(copied: Path, serve):
    served = serve(copied)
    assert served.get("/").status == 200
    away = copied.with_name("away")
    shutil.move(copied, away)
    served.explorer.views._checked_at = float("-inf")  # as if a second had passed
    for path in ("/", "/clips/any", "/frames/any.jpg"):
        answer = served.get(path)
        assert answer.status == 503
        assert "there is no lake at" in answer.text
        assert "Traceback" not in answer.text
    shutil.move(away, copied)
    assert served.get("/").status == 200


def test_an_empty_lake_says_how_it_is_filled(lake, serve):
    answer = serve(lake.root).get("/")
    assert answer.status == 200
    assert "internvid ingest" in answer.text


def test_a_picture_needs_a_model(served):
    answer = served.get("/pictures", "POST", b"no picture")
    assert answer.status == 409
    assert "no model is active" in answer.text


def test_a_page_shows_one_moment_while_the_lake_is_written_to(copied, serve):
    served = serve(copied)
    before = served.explorer.indexes.newest()
    clip_id = before.clip_ids[0].as_py()
    caption = before.view.known("clip_captions", [clip_id], ["caption"])["caption"][0].as_py()
    rows = served.lake.polars("clip_captions").with_columns(caption=pl.lit("written later"), provenance=pl.lit("new"))
    served.lake.upsert("clip_captions", rows)
    served.lake.delete("clips", [clip_id])
    assert before.view.known("clip_captions", [clip_id], ["caption"])["caption"][0].as_py() == caption
    assert before.view.known("clips", [clip_id]).num_rows == 1
    served.explorer.views._checked_at = float("-inf")
    after = served.explorer.indexes.newest(wait=True)
    assert after.clips == before.clips - 1
    assert clip_id not in served.clip_ids("/")
    assert "written later" in served.get("/").text
    assert served.get(f"/clips/{clip_id}").status == 404
