-- author_history: What has one author posted, and what was decided?
--
-- The latest decision first.
--
-- Parameters:
--   user_id  String         whose
--   rows     UInt32  = 100  how many

SELECT
    created_at,
    content_id,
    revision,
    community,
    kind,
    action,
    category,
    reason,
    round(top_score, 4) AS top_score
FROM moderation.moderation_logs FINAL
WHERE user_id = {user_id:String}
    AND final AND mode = 'live'
ORDER BY created_at DESC, content_id
LIMIT {rows:UInt32}
SETTINGS do_not_merge_across_partitions_select_final = 1
