-- The clips of a subset: $clips of the clips that pass all conditions, drawn without replacement; all if $clips is
-- null.
-- Reads judged; $clips, $seed.
-- Efraimidis and Spirakis (2006): each clip waits for an exponential time with its weight as rate, -ln(u) / weight, and
-- the first ones are drawn. u in (0, 1) is made from 52 bits of md5, so it is the same in any order, on any number of
-- threads, and in any version of DuckDB.
select clip_id, video_id, weight, reason
from judged
where failed is null
order by
    -ln((('0x' || left(md5(concat_ws('/', 'draw', $seed, clip_id)), 13))::bigint + 0.5) / (1::bigint << 52)) / weight,
    clip_id
limit $clips
