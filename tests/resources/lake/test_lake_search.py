"""Search for clips by words and by vectors."""

from __future__ import annotations

import subprocess
import sys

import pytest
from lake_copies import IN_A_FOLDER
from lake_rows import by_hand, captions, clips, embed_clips, nearest, vectors

from resources.lake.schema import TABLES
from resources.lake.store import Lake
from resources.lake.vector_index import index_vectors, rows_of_segments


def _found(lake: Lake, text: str) -> list[str]:
    return lake.search(text)["clip_id"].to_pylist()


def test_search_finds_captions_by_their_words_best_first(lake):
    lake.upsert(
        "clip_captions", captions({"a": "A dog runs over a meadow", "b": "A dog and another dog", "c": "A cat sleeps"})
    )
    found = lake.search("dogs", limit=2)
    assert found.drop_columns("score").to_pylist() == [
        {"clip_id": "b", "video_id": "v", "caption": "A dog and another dog", "model": "m"},
        {"clip_id": "a", "video_id": "v", "caption": "A dog runs over a meadow", "model": "m"},
    ]
    scores = found["score"].to_pylist()
    assert scores[0] > scores[1] > 0
    assert len(lake.search("dogs", limit=1)) == 1


def test_search_sees_new_changed_and_deleted_rows_before_any_maintenance(lake):
    lake.upsert("clip_captions", captions({"a": "a dog", "b": "a cat", "c": "a cat"}))
    lake.optimize()
    lake.upsert("clip_captions", captions({"a": "a horse", "d": "a cat"}, provenance="p2"))
    lake.delete("clip_captions", ["b"])
    before = {text: sorted(_found(lake, text)) for text in ("dog", "horse", "cat")}
    lake.optimize()
    after = {text: sorted(_found(lake, text)) for text in ("dog", "horse", "cat")}
    assert before == after == {"dog": [], "horse": ["a"], "cat": ["c", "d"]}


@IN_A_FOLDER
def test_search_takes_any_text(lake):
    lake.upsert("clip_captions", captions({"a": "a dog", "b": ""}))
    for text in ('"dog', "'dog'", "dog AND", "(dog", "dog)", "dog:", "+dog -cat", "dog\\"):
        assert _found(lake, text) == ["a"]
    for text in ("", " ", "'", '"', "*", "\0", "猫", "the"):
        assert _found(lake, text) == []


CAPTIONS = {
    "zh": "一个穿红色衣服的男人在踢足球",
    "zh2": "一只猫在睡觉",
    "ja": "男の人が公園でサッカーをしている",
    "ko": "한 남자가 공원에서 축구를 하고 있다",
    "th": "ผู้ชายเล่นฟุตบอลในสวน",
    "my": "လူတစ်ယောက် ဘောလုံးကန်နေသည်",
    "to be": "a sign that says to be or not to be",
    "x": "the letter x on a shirt, plan B",
    "fr": "Un café à la plage",
}


@pytest.mark.parametrize("is_indexed", [False, True])
def test_search_finds_words_of_any_script_and_the_shortest_ones(lake, is_indexed):
    lake.upsert("clip_captions", captions(CAPTIONS))
    if is_indexed:
        lake.optimize()
    expected = {
        **{
            "足球": {"zh"},
            "红": {"zh"},
            "红色": {"zh"},
            "男人": {"zh"},
            "猫": {"zh2"},
            "睡觉": {"zh2"},
            "踢足球": {"zh"},
        },
        **{"サッカー": {"ja"}, "公園": {"ja"}, "男の人": {"ja"}, "축구": {"ko"}, "남자": {"ko"}, "공원": {"ko"}},
        **{"ฟุตบอล": {"th"}, "เล่น": {"th"}, "สวน": {"th"}, "ဘောလုံး": {"my"}},
        **{"to be": {"to be"}, "x": {"x"}, "b": {"x"}, "cafe": {"fr"}, "CAFÉ": {"fr"}, "狗": set(), "足 球": {"zh"}},
    }
    assert {text: set(_found(lake, text)) for text in expected} == expected
    assert _found(lake, "足球 shirt")[:2] in (["zh", "x"], ["x", "zh"])
    assert _found(lake, "一个男人在公园里踢足球")[0] == "zh"


def test_words_of_any_script_are_found_beside_vectors(lake):
    embed_clips(lake, vectors(50, seed=1), "model 1")
    lake.upsert("clip_captions", captions({"c0003": CAPTIONS["zh"], "c0004": CAPTIONS["to be"]}, provenance="p2"))
    far = vectors(50, seed=1)[40]
    assert lake.search("足球", vector=far, vector_weight=0.1)["clip_id"].to_pylist()[0] == "c0003"
    assert lake.search("to be", vector=far, vector_weight=0.1)["clip_id"].to_pylist()[0] == "c0004"


@IN_A_FOLDER
def test_search_makes_its_index_where_there_is_none(lake):
    lake.dataset("clip_captions").drop_index("caption_terms_idx")
    lake.upsert("clip_captions", captions({"a": "a dog"}))
    assert _found(lake, "dog") == ["a"]


def test_search_by_vector_finds_the_nearest_clips_without_an_index_and_with_one(tmp_path, new_lake):
    lake = new_lake(tmp_path / "lake")
    made = vectors(600, seed=1)
    embed_clips(lake, made, "model 1")
    query = made[7] + 0.3 * made[8]
    expected = by_hand(made, query)
    assert nearest(lake, query) == expected

    index_vectors(lake.dataset("clip_embeddings"), TABLES["clip_embeddings"], from_rows=1000)
    assert rows_of_segments(lake.dataset("clip_embeddings"), "vector") == []
    index_vectors(lake.dataset("clip_embeddings"), TABLES["clip_embeddings"], from_rows=500)
    assert rows_of_segments(lake.dataset("clip_embeddings"), "vector") == [600]
    assert nearest(lake, query) == expected


def test_search_by_words_needs_no_second_engine(tmp_path, new_lake):
    """A process that searches imports pylance; lancedb would add more than a second."""
    lake = new_lake(tmp_path / "lake")
    lake.upsert("clip_captions", captions({"a": "a dog"}))
    script = (
        "import sys; from resources.lake.store import Lake; "
        f"assert Lake(root={lake.root!r}).search('dog').num_rows == 1; assert 'lancedb' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


# --- through lancedb --------------------------------------------------------------------------------------------


def test_lancedb_opens_the_lakes_tables_and_sees_the_newest_rows(lake):
    lake.upsert("clips", clips(["a", "b"]))
    connection = lake.lancedb()
    assert set(connection.table_names(limit=100)) == set(TABLES)
    table = connection.open_table("clips")
    assert table.count_rows("provenance = 'p1'") == 2
    lake.upsert("clips", clips(["c"]))
    assert connection.open_table("clips").search().where("clip_id = 'c'").select(["clip_id"]).to_list() == [
        {"clip_id": "c"}
    ]


def test_lancedb_ranks_captions_as_the_lakes_own_search_does(lake):
    lake.upsert("clip_captions", captions({"a": "a dog runs", "b": "a dog and another dog", "c": "a cat"}))
    rows = lake.lancedb().open_table("clip_captions").search("dog", query_type="fts").limit(10).to_list()
    ranked = [(row["clip_id"], pytest.approx(row["_score"])) for row in rows]
    own = lake.search("dog").to_pylist()
    assert [(row["clip_id"], row["score"]) for row in own] == ranked
    assert [row["clip_id"] for row in own] == ["b", "a"]


@IN_A_FOLDER
def test_lancedb_finds_the_nearest_vectors_of_the_lake(lake):
    made = vectors(50, seed=1)
    embed_clips(lake, made, "model 1")
    query = made[7] + 0.3 * made[8]
    table = lake.lancedb().open_table("clip_embeddings")
    rows = table.search(query).distance_type("cosine").limit(5).to_list()
    assert [row["clip_id"] for row in rows] == by_hand(made, query) == nearest(lake, query)


@IN_A_FOLDER
def test_lancedb_joins_words_and_vectors_of_a_users_own_table(lake):
    """A hybrid search wants words and vector in one table: this one is made of the lake's two with one query."""
    import lancedb  # seconds, which the processes that do not run this save

    made = vectors(50, seed=1)
    embed_clips(lake, made, "model 1")
    lake.upsert("clip_captions", captions({"c0003": "a dog runs"}, provenance="p2"))
    rows = lake.query("select clip_id, caption, vector from clip_captions join clip_embeddings using (clip_id)")
    own = lancedb.connect(f"{lake.root}/own").create_table("captioned_vectors", rows)
    own.create_fts_index("caption")
    found = own.search(query_type="hybrid").vector(made[3]).text("dog").limit(1).to_list()
    assert [row["clip_id"] for row in found] == ["c0003"]
