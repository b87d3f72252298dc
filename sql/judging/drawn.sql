-- $clips clips of each stratum, drawn at random without replacement, in the order in which they were drawn: by a hash,
-- so that the same seed draws the same clips. Reads stratified; $kept: strata; the others are one, $rest. $seed.
select
    case when list_contains($kept, stratum) then stratum else $rest end as drawn_stratum,
    min_by({'clip_id': clip_id, 'video_id': video_id}, md5(concat_ws('/', 'review', $seed, clip_id)), $clips) as drawn
from stratified
group by drawn_stratum
