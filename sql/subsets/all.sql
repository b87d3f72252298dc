-- ---
-- title: Every clip that has a caption and frames
-- parameters:
--   clips: {type: bigint, default: null, meaning: "how many clips are drawn, each with the same chance; null: all"}
--   seed: {type: bigint, default: 42, meaning: of the draw}
-- ---
select clip_id, 1 as weight, 'every clip' as reason from pool
