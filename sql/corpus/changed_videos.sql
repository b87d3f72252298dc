-- Keys of the rows that are not the same in two versions of a table: added, removed or changed.
-- Reads: gone, new (key, content: rows that only one of the two versions may have).
select distinct key
from (select key, content from gone union all select key, content from new)
group by key, content
having count(*) = 1
