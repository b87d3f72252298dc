-- Every clip that has a caption and frames
-- @parameter clips bigint null: how many clips are drawn, each with the same chance; null: all
-- @parameter seed bigint 42: of the draw
select clip_id, 1 as weight, 'every clip' as reason from pool
