-- ---
-- title: Videos by category (Figure 3c)
-- description: >
--   As the site states them; "none stated" where it states none, as of files. share: of all videos; a video may have
--   several categories. named_by_paper: the paper's figure names it; it has 16 categories and names eight.
-- ---
with of_all as (
    select sum(total_rows) as videos from video_totals
)

select
    coalesce(category, 'none stated') as category,
    total_rows as videos,
    total_rows / (select videos from of_all) as share,
    coalesce(
        category in (
            'People & Blogs', 'Education', 'News & Politics', 'Howto & Style', 'Entertainment', 'Gaming',
            'Science & Technology', 'Sports'
        ),
        false
    ) as named_by_paper
from category_totals
order by videos desc, category
