-- Kept changes of a table as two states a row: -1 of the row that was left, 1 of the one that came; $sign turns them.
-- Parameters: $table, $sign (-1: from the later state to the earlier).
select key_hash, video_hash, content_before as content, digest_before as digest, made_by_before as made_by, -$sign as state
from snapshot_changes
where table_name = $table and content_before is not null
union all
select key_hash, video_hash, content_after as content, digest_after as digest, made_by_after as made_by, $sign as state
from snapshot_changes
where table_name = $table and content_after is not null
