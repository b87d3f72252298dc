-- Row count and hash of a table, independent of the order of rows. Reads rows (key, provenance).
-- Run ids and times are not hashed: the same rows recomputed are the same corpus.
select
    count(*) as row_count,
    coalesce(bit_xor(hash(key, provenance)), 0)::varchar as digest
from rows
