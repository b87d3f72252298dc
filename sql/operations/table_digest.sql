-- A hash of what a table holds, whatever the order of its rows; of one table, named here `rows`.
-- Run ids and times are not in it: the same rows made again are the same corpus.
select
    count(*) as row_count,
    coalesce(bit_xor(hash(key, provenance)), 0)::varchar as digest
from rows
