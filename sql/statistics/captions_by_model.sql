-- ---
-- title: Captions by the model that wrote them
-- description: >
--   kind: coarse and fine are captions of frames, clip is the summary that the dataset holds. share is within the kind.
-- ---
select
    kind,
    model,
    sum(total_rows)::bigint as captions,
    sum(total_rows) / sum(sum(total_rows)) over (partition by kind) as share,
    sum(total_videos)::bigint as videos,
    count(distinct version) as versions
from caption_model_totals
group by kind, model
order by kind, captions desc, model
