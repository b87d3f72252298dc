-- The rows that $judge wrote last in $sample (null: on a clip's page): those of one moment, about one clip.
-- $clip_id: only of this clip; null: of any.
select judgement_id, clip_id
from judgements
where judge = $judge and sample is not distinct from $sample and ($clip_id is null or clip_id = $clip_id)
qualify rank() over (order by written_at desc, clip_id) = 1
