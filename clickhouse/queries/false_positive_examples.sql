-- false_positive_examples: Which harmless content did a model take for a violation?
--
-- The surest mistakes first: content in which people see no violation. The text is user content; it
-- is empty once its retention has ended.
--
-- Parameters:
--   since  DateTime64(3, 'UTC')  = newest - 28 days  first moment, UTC
--   until  DateTime64(3, 'UTC')  = newest            end, not included
--   model  String                = ''                one model, empty for all
--   rows   UInt32                = 50                how many
--
-- Sample:
--   content_id  revision  model        model_version  model_prediction  confidence  text
--   c00400      0         text-fast    3              hate              0.9741      hate words number 26
--   c01361      0         transformer  1              spam              0.8         buy 365133 at https://www.deal-0.example/x
--   c02092      0         transformer  1              harassment        0.8         harassment words number 20

WITH
    labels AS
    (
        SELECT content_id, revision, argMax(answer, (source = 'golden', labeled_at)) AS truth
        FROM moderation.label_answers
        -- A label follows its post; a day for clocks that differ.
        WHERE labeled_at >= {since:DateTime64(3, 'UTC')} - INTERVAL 1 DAY
        GROUP BY content_id, revision
    ),
    mistakes AS
    (
        SELECT content_id, revision, created_at, model, model_version, model_prediction, confidence
        FROM moderation.labelled_outputs FINAL
        INNER JOIN labels USING (content_id, revision)
        WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
            AND model_prediction != ''
            AND ({model:String} = '' OR model = {model:String})
            AND truth = ''
        ORDER BY confidence DESC, content_id, model
        LIMIT {rows:UInt32}
    ),
    texts AS
    (
        SELECT content_id, revision, text
        FROM moderation.content FINAL
        WHERE (toYYYYMMDD(created_at), content_id) IN (SELECT toYYYYMMDD(created_at), content_id FROM mistakes)
    )
SELECT
    content_id,
    revision,
    model,
    model_version,
    model_prediction,
    round(toFloat64(confidence), 4) AS confidence,
    text
FROM mistakes
LEFT JOIN texts USING (content_id, revision)
ORDER BY confidence DESC, content_id, model
SETTINGS do_not_merge_across_partitions_select_final = 1
