-- Pairs of videos that hold the same pictures as encoded, in whatever containers, and are not noted as that yet: the
-- lower video_id first.
select one.video_id, other.video_id as other_video_id
from raw_videos as one
inner join raw_videos as other
    on one.packets_digest = other.packets_digest
    and one.video_id < other.video_id
left join duplicates
    on duplicates.pair_id = one.video_id || '/' || other.video_id
    and duplicates.kind = 'packets'
where duplicates.pair_id is null
order by one.video_id, other.video_id
