-- The samples, the latest first, with the clips that were drawn and those that $judge, and anyone, has judged.
select
    drawn.sample,
    any_value(drawn.kind) as kind,
    any_value(drawn.strata_by) as strata_by,
    any_value(drawn.subset) as subset,
    any_value(drawn.snapshot) as snapshot,
    any_value(drawn.other_snapshot) as other_snapshot,
    any_value(drawn.drawn_by) as drawn_by,
    max(drawn.population_clips) as population_clips,
    max(drawn.written_at) as drawn_at,
    count(*) as clips,
    count(distinct drawn.stratum) as strata,
    count(*) filter (where judged.judges is not null) as judged,
    count(*) filter (where list_contains(judged.judges, $judge)) as judged_by_judge
from review_samples as drawn
left join (
    select sample, clip_id, list(distinct judge) as judges
    from judgements
    where sample is not null
    group by sample, clip_id
) as judged on drawn.sample = judged.sample and drawn.clip_id = judged.clip_id
group by drawn.sample
order by drawn_at desc, drawn.sample
limit 200
