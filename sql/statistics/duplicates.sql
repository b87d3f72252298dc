-- ---
-- title: Pairs of videos with the same content, by kind
-- description: >
--   bytes: files that were skipped because a file of equal bytes is here (attempts, ExactDuplicate). packets: the same
--   encoded pictures in another container. perceptual: re-encoded, resized, cropped, with a logo, or a part. similarity:
--   share of the shorter video's frames that the longer video has as well. videos_left_out: by a subset without copies.
-- ---
with pairs as (
    select kind, count(*) as pairs, count(distinct case when kept = video_id then other_video_id else video_id end) as videos_left_out, avg(similarity::decimal(18, 9)) as mean_similarity, min(similarity) as min_similarity
    from duplicates
    group by kind
    union all
    select 'bytes', sum(total_rows), 0, 1, 1
    from attempt_totals
    where error_class = 'ExactDuplicate'
    having count(*) > 0
)

select
    kinds.kind,
    coalesce(pairs.pairs, 0)::bigint as pairs,
    coalesce(pairs.videos_left_out, 0) as videos_left_out,
    pairs.mean_similarity,
    pairs.min_similarity
from (values (1, 'bytes'), (2, 'packets'), (3, 'perceptual')) as kinds (position, kind)
left join pairs on kinds.kind = pairs.kind
order by kinds.position
