"""The hashes that say whether a row has changed."""

import pyarrow as pa

from resources.incremental.provenance import row_digests


def test_rows_that_differ_in_their_vector_alone_have_different_digests():
    schema = pa.schema([("clip_id", pa.string()), ("vector", pa.list_(pa.float32(), 2))])
    rows = [{"clip_id": "a", "vector": vector} for vector in ([0.0, 1.0], [0.0, 1.0], [1.0, 0.0])]
    first, same, other = row_digests(pa.RecordBatch.from_pylist(rows, schema=schema))
    assert first == same != other
