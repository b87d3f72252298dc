-- The newest snapshot: its name, when it was taken, and version, number of rows and digest of each table in it.
select snapshot, table_name, table_version, row_count, digest, written_at
from corpus_snapshot
where snapshot = (select arg_max(snapshot, written_at) from corpus_snapshot)
