-- ---
-- title: Captions by the model that wrote them
-- description: >
--   kind: coarse and fine are captions of frames, clip is the summary that the dataset holds. share is within the kind.
-- ---
with caption as (
    select coalesce(scale, 'unknown') as kind, coalesce(model, 'unknown') as model, version, video_id from frame_captions
    union all
    select 'clip', coalesce(model, 'unknown'), version, video_id from clip_captions
)
select
    kind,
    model,
    count(*) as captions,
    count(*) / sum(count(*)) over (partition by kind) as share,
    count(distinct video_id) as videos,
    count(distinct version) as versions
from caption
group by kind, model
order by kind, captions desc, model
