-- Hashes of the keys that only one of two versions of a table has, as batch_states holds them.
-- Reads: gone, new (key: rows that only one of the two versions may have).
select distinct left(md5(key), 16) as key
from (select key from gone union all select key from new)
group by key
having count(*) = 1
