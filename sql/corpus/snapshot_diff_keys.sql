-- Keys that only one of two versions of a table has.
-- Reads: gone, new (key: of rows that only one of the two versions may have).
select gone.key as gone_key, new.key as new_key
from gone
full join new on gone.key = new.key
where gone.key is null or new.key is null
