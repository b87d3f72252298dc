-- The dialogues about the videos of a subset: their number, and a hash that tells them, and the subset's clips, from
-- another state of them.
with chosen as (
    select bit_xor(md5_number(clip_id)) as clips from subsets
)

select
    count(*) as dialogues,
    coalesce(sum(turn_count), 0)::bigint as turns,
    md5(concat_ws('|', bit_xor(md5_number(concat_ws('=', dialogue_id, digest))), any_value(chosen.clips))) as digest
from dialogues
cross join chosen
where video_id in (select video_id from subsets)
