-- ---
-- title: Scores of clips in steps of a tenth, for each score and model (Figure 4c)
-- description: >
--   A step holds its lower bound and not its upper one. A clip without the score is in no step.
-- ---
select
    score,
    model,
    floor(value * 10) / 10 as from_value,
    count(*) as clips,
    count(*) / sum(count(*)) over (partition by score, model) as share
from clip_scores
where value is not null
group by score, model, from_value
order by score, model, from_value
