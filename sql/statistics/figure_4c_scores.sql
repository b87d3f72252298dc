-- ---
-- title: Scores of clips in steps of a tenth, for each score and model (Figure 4c)
-- description: >
--   A step holds its lower bound and not its upper one. A clip without the score is in no step.
-- ---
select
    score,
    model,
    from_value,
    total_rows as clips,
    total_rows / sum(total_rows) over (partition by score, model) as share
from score_totals
order by score, model, from_value
