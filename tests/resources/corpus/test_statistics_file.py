"""The file of statistics, as tools outside of this program find it."""

from __future__ import annotations

import struct

from lake_copies import IN_A_FOLDER

from resources.corpus.statistics import build_mart
from resources.lake.statements import statements_in
from resources.lake.totals import names_of_totals

pytestmark = IN_A_FOLDER

STORAGE_VERSION_OF_DUCKDB_1_0 = 64


def test_the_file_opens_in_every_duckdb_since_1_0(lake, tmp_path):
    lake.tag("now")
    build_mart(lake, "now", tmp_path / "statistics.duckdb")
    written = (tmp_path / "statistics.duckdb").read_bytes()[:20]
    assert written[8:12] == b"DUCK"
    assert struct.unpack("<Q", written[12:20]) == (STORAGE_VERSION_OF_DUCKDB_1_0,)


def test_every_statement_is_a_table_of_its_name(lake, tmp_path):
    import duckdb

    lake.tag("now")
    build_mart(lake, "now", tmp_path / "statistics.duckdb")
    with duckdb.connect(str(tmp_path / "statistics.duckdb"), read_only=True) as mart:
        tables = set(mart.sql("select schema_name, table_name from duckdb_tables()").fetchall())
    statistics = {("main", file.stem) for file in statements_in("statistics")}
    assert tables == statistics | {("totals", name) for name in (*names_of_totals(), "made_from")}
