-- The newest snapshot: its name, and the digest of each table in it.
select snapshot, table_name, digest
from corpus_snapshot
where snapshot = (select arg_max(snapshot, written_at) from corpus_snapshot)
