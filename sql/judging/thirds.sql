-- The values at a third and at two thirds of the clips' scores: of one clip in $every, by a hash of its id.
select quantile_disc(value, [1 / 3, 2 / 3]) as thirds
from clip_scores
where score = $score and isfinite(value) and md5_number_lower(clip_id) % $every = 0
