-- ---
-- title: Scores of clips in steps of a tenth
-- ---
select score, model, floor(value * 10) / 10 as from_value, count(*) as total_rows
from clip_scores
where value is not null
group by all
