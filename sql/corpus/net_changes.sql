-- Rows of a table that two states of it do not have in common, one row a key; states between the two cancel out.
-- Reads: gone, new (key, key_hash, video_hash, content, digest, made_by: rows that only one of two versions may have),
-- kept (key_hash, video_hash, content, digest, made_by, and state: -1 of a row that was left, 1 of one that came).
with states as (
    select key, key_hash, video_hash, content, digest, made_by, -1 as state from gone
    union all
    select key, key_hash, video_hash, content, digest, made_by, 1 as state from new
    union all
    select null as key, key_hash, video_hash, content, digest, made_by, state from kept
),

ends as (
    select key_hash, video_hash, content, digest, made_by, any_value(key) as key, sum(state) as state
    from states
    group by key_hash, video_hash, content, digest, made_by
    having sum(state) <> 0
)

select
    key_hash,
    any_value(key) as key,
    any_value(video_hash) as video_hash,
    any_value(content) filter (state < 0) as content_before,
    any_value(digest) filter (state < 0) as digest_before,
    any_value(made_by) filter (state < 0) as made_by_before,
    any_value(content) filter (state > 0) as content_after,
    any_value(digest) filter (state > 0) as digest_after,
    any_value(made_by) filter (state > 0) as made_by_after
from ends
group by key_hash
