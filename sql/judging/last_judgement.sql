-- The rows that $judge wrote last in $sample (null: on a clip's page): those of one moment, about one clip.
select judgement_id, clip_id
from judgements
where judge = $judge and sample is not distinct from $sample
qualify rank() over (order by written_at desc, clip_id) = 1
