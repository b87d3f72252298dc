-- The clips of $sample in the order of review, each with whether $judge has judged it.
select drawn.position, drawn.clip_id, judged.clip_id is not null as is_judged
from review_samples as drawn
left join (
    select distinct clip_id from judgements where sample = $sample and judge = $judge
) as judged on drawn.clip_id = judged.clip_id
where drawn.sample = $sample
order by drawn.position
