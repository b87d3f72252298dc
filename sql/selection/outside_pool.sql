-- Clips that no subset can hold: their number by what they lack, and $examples of each.
select
    case when captioned.clip_id is null then 'no caption' else 'no frame' end as lacks,
    count(*) as clips,
    min_by(clips.clip_id, md5(clips.clip_id), $examples) as examples
from clips
left join (select clip_id from clip_captions where caption <> '') as captioned on clips.clip_id = captioned.clip_id
left join (select distinct clip_id from frames) as pictured on clips.clip_id = pictured.clip_id
where captioned.clip_id is null or pictured.clip_id is null
group by lacks
