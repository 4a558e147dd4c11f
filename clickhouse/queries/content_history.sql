-- content_history: Everything that happened to one content, in order?
--
-- Decisions, labels, reports and appeals on all its revisions; an appeal that was answered is two rows.
--
-- Parameters:
--   content_id  String      which
--
-- Sample:
--   at                   revision  event          who  outcome  category    detail
--   2026-11-03 09:22:58  0         live decision  ''   block    harassment  harassment 0.98: text-fast of text_score 0.98
--   2026-11-03 09:32:52  0         user report    u16  ''       spam        look
--   2026-11-03 12:30:11  0         review label   m1   block    harassment  ''

SELECT at, revision, event, who, outcome, category, detail
FROM
(
    SELECT
        timestamp                            AS at,
        revision,
        concat(toString(mode), ' decision')  AS event,
        ''                                   AS who,
        toString(action)                     AS outcome,
        toString(category)                   AS category,
        reason                               AS detail
    FROM moderation.moderation_logs FINAL
    WHERE content_id = {content_id:String}
    UNION ALL
    SELECT
        labeled_at, revision, concat(toString(source), ' label'), reviewer_id,
        toString(action), toString(true_label), ''
    FROM moderation.human_labels FINAL
    WHERE content_id = {content_id:String}
    UNION ALL
    SELECT reported_at, 0, 'user report', reporter_id, '', toString(category), reason
    FROM moderation.user_reports FINAL
    WHERE content_id = {content_id:String}
    UNION ALL
    SELECT appealed_at, revision, 'appeal', user_id, 'open', toString(category), statement
    FROM moderation.appeals FINAL
    WHERE content_id = {content_id:String}
    UNION ALL
    SELECT resolved_at, revision, 'appeal', reviewer_id, toString(state), toString(category), ''
    FROM moderation.appeals FINAL
    WHERE content_id = {content_id:String} AND state != 'open'
)
ORDER BY at, event, who
SETTINGS do_not_merge_across_partitions_select_final = 1
