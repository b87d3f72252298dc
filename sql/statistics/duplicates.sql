-- ---
-- title: Pairs of videos with the same content, by kind
-- description: >
--   bytes: files that were skipped because a file of equal bytes is here (attempts, ExactDuplicate). packets: the same
--   encoded pictures in another container. perceptual: re-encoded, resized, cropped, with a logo, or a part. similarity:
--   share of the shorter video's frames that the longer video has as well. videos_left_out: by a subset without copies.
-- ---
with pairs as (
    select
        kind,
        similarity,
        case when kept = video_id then other_video_id else video_id end as left_out
    from duplicates
    union all
    select 'bytes' as kind, 1 as similarity, null as left_out
    from attempts
    where error_class = 'ExactDuplicate'
)

select
    kinds.kind,
    count(pairs.kind) as pairs,
    count(distinct pairs.left_out) as videos_left_out,
    avg(pairs.similarity) as mean_similarity,
    min(pairs.similarity) as min_similarity
from (values (1, 'bytes'), (2, 'packets'), (3, 'perceptual')) as kinds (position, kind)
left join pairs on kinds.kind = pairs.kind
group by kinds.position, kinds.kind
order by kinds.position
