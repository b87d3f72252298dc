-- The clips of which something was judged wrong, bad or unsafe that is still as it was when it was judged.
select distinct judgements.clip_id
from judgements
left join clip_captions on judgements.clip_id = clip_captions.clip_id
left join clips on judgements.clip_id = clips.clip_id
where judgements.judged_digest = if(judgements.what = 'caption', clip_captions.digest, clips.digest)
    and judgements.verdict in ('wrong', 'bad', 'unsafe')
