-- Failed, skipped and waiting inputs of a source and its video, in the order of the last try; of one clip if $clip_id
-- is not null. Reads: $source_id, $video_id (16 characters, the prefix of its rows' keys; null for none), $clip_id.
select stage, key, outcome, error_class, message, related_key, tries, next_try_at, run_id, written_at
from attempts
where
    key in ($source_id, $video_id)
    or (
        left(key, 16) = $video_id
        and ($clip_id is null or key = $clip_id or starts_with(key, $clip_id || '/') or starts_with(key, $clip_id || '_'))
    )
order by written_at, attempt_id
