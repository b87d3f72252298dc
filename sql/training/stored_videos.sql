-- Videos of the generator $checkpoint_id: those of $prompts, $seeds and $sampling, of which null stands for all.
select generated_video_id, prompt
from generated_videos
where
    checkpoint_id = $checkpoint_id
    and ($prompts::varchar[] is null or list_contains($prompts::varchar[], prompt))
    and ($seeds::bigint[] is null or list_contains($seeds::bigint[], seed))
    and ($sampling::varchar is null or sampling = $sampling::varchar)
order by generated_video_id
