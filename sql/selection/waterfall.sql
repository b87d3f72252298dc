-- Clips of the pool by the condition that they fail, or whether they are drawn; and $examples of each group.
-- Reads judged, drawn; $examples.
select
    judged.failed,
    judged.is_unknown,
    drawn.clip_id is not null as is_drawn,
    count(*) as clips,
    min_by(
        {'clip_id': judged.clip_id, 'reason': judged.reason, 'measured': judged.measured},
        md5(judged.clip_id),
        $examples
    ) as examples
from judged
left join drawn on judged.clip_id = drawn.clip_id
group by judged.failed, judged.is_unknown, is_drawn
