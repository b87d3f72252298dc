-- ---
-- title: Scores
-- description: Each score of clip_scores is a measure of its own, called score.NAME.
-- place: 3
-- ---
select numbered.number, concat('score.', clip_scores.score) as measure, clip_scores.value
from numbered
inner join clip_scores using (clip_id)
where clip_scores.value is not null
