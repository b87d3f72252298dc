-- Rows of snapshot_changes: how a table of a snapshot that is removed differs from the pin after it.
-- Reads: changes (the rows of net_changes). Parameters: $snapshot, $table.
select
    concat_ws('/', $snapshot, $table, key_hash) as change_id,
    $snapshot as snapshot,
    $table as table_name,
    key_hash,
    video_hash,
    content_before,
    digest_before,
    made_by_before,
    content_after,
    digest_after,
    made_by_after
from changes
