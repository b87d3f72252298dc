-- The newest snapshot: its name, when it was taken, and the digest of each table in it.
select snapshot, table_name, digest, written_at
from corpus_snapshot
where snapshot = (select arg_max(snapshot, written_at) from corpus_snapshot)
