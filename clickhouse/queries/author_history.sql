-- author_history: What has one author posted, and what was decided?
--
-- The latest post first, the last of its revisions before the others.
--
-- Parameters:
--   user_id  String         whose
--   rows     UInt32  = 100  how many
--
-- Sample:
--   created_at           content_id  revision  community  kind     action  category  reason                                   top_score
--   2026-11-16 18:14:45  c02941      0         music      comment  allow   ''        nothing above the policy's thresholds    0.3966
--   2026-11-15 23:23:15  c02781      0         pets       post     allow   ''        nothing above the policy's thresholds    0.1441
--   2026-11-15 14:13:51  c02692      0         news       comment  review  spam      spam 0.55: text-fast of text_score 0.55  0.5518

WITH theirs AS
    (
        SELECT toYYYYMMDD(created_at) AS day, content_id
        FROM moderation.author_posts FINAL
        WHERE user_id = {user_id:String}
        ORDER BY created_at DESC, content_id, revision DESC
        LIMIT {rows:UInt32}
    )
SELECT
    created_at,
    content_id,
    revision,
    community,
    kind,
    action,
    category,
    reason,
    round(toFloat64(top_score), 4) AS top_score
FROM moderation.moderation_logs FINAL
WHERE (toYYYYMMDD(created_at), content_id) IN (SELECT day, content_id FROM theirs)
    AND user_id = {user_id:String}
    AND final AND mode = 'live'
ORDER BY created_at DESC, content_id, revision DESC
LIMIT {rows:UInt32}
SETTINGS do_not_merge_across_partitions_select_final = 1
