-- Hashes of the videos that only one of two states of the lake has, and whether it is the later.
-- Reads: changes (the rows of net_changes, of raw_videos).
select key_hash, content_before is null as is_new
from changes
where content_before is null or content_after is null
