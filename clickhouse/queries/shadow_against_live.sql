-- shadow_against_live: What would the shadow policy or model have decided otherwise?
--
-- One row a pair of decisions on the same content, over content that both decided; `agreement` is the
-- share of all that they decide alike.
--
-- Parameters:
--   since  DateTime64(3, 'UTC')  = newest - 7 days  first moment, UTC
--   until  DateTime64(3, 'UTC')  = newest           end, not included
--
-- Sample:
--   live_action  live_category  shadow_action  shadow_category  contents  share   agreement
--   allow        ''             allow          ''               189       0.6279  0.8206
--   allow        ''             review         spam             52        0.1728  0.8206
--   review       spam           review         spam             14        0.0465  0.8206

WITH shadow AS
    (
        SELECT content_id, revision, action, category
        FROM moderation.moderation_logs FINAL
        WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
            AND final AND mode = 'shadow'
    )
SELECT
    live.action                     AS live_action,
    live.category                   AS live_category,
    shadow.action                   AS shadow_action,
    shadow.category                 AS shadow_category,
    count()                         AS contents,
    round(contents / sum(contents) OVER (), 4) AS share,
    round(sum(contents * (live_action = shadow_action AND live_category = shadow_category)) OVER ()
        / sum(contents) OVER (), 4) AS agreement
FROM moderation.moderation_logs AS live FINAL
INNER JOIN shadow ON shadow.content_id = live.content_id AND shadow.revision = live.revision
WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
    AND final AND mode = 'live'
GROUP BY live_action, live_category, shadow_action, shadow_category
ORDER BY contents DESC, live_action, live_category, shadow_action, shadow_category
SETTINGS do_not_merge_across_partitions_select_final = 1
