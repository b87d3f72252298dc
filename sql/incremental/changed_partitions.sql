-- Partitions of a table of which two versions have not the same rows; of attempts by stage. A partition may be null.
-- Reads: gone, new (stage, partition, content: rows that only one of the two versions may have).
with before as (
    select stage, partition, count(*) as row_count, bit_xor(content) as digest from gone group by stage, partition
),

after as (
    select stage, partition, count(*) as row_count, bit_xor(content) as digest from new group by stage, partition
)

select stage, partition
from before
full join after using (stage, partition)
where before.row_count is distinct from after.row_count or before.digest is distinct from after.digest
