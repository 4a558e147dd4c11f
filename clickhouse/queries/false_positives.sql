-- false_positives: Where is a model wrong about harmless content, and how sure was it?
--
-- One row a model, version, predicted category and step of confidence, over labelled content. A false
-- positive is content in which people see no violation; another_category counts content in which they
-- see another one than the model.
--
-- Parameters:
--   since  DateTime64(3, 'UTC')  = newest - 28 days  first moment, UTC
--   until  DateTime64(3, 'UTC')  = newest            end, not included
--   model  String                = ''                one model, empty for all
--   steps  UInt8                 = 10                steps of confidence between 0 and 1
--
-- Sample:
--   model      model_version  model_prediction  confidence_from  labelled  false_positives  another_category  false_share
--   text-fast  3              harassment        0.5              5         2                0                 0.4
--   text-fast  3              harassment        0.6              7         0                2                 0
--   text-fast  3              harassment        0.7              9         0                2                 0

WITH labels AS
    (
        SELECT content_id, revision, argMax(answer, (source = 'golden', labeled_at)) AS truth
        FROM moderation.label_answers
        -- A label follows its post; a day for clocks that differ.
        WHERE labeled_at >= {since:DateTime64(3, 'UTC')} - INTERVAL 1 DAY
        GROUP BY content_id, revision
    )
SELECT
    model,
    model_version,
    model_prediction,
    -- Confidence is stored as a 32-bit float: 0.7 is to be 0.7 again, which begins a step of ten.
    round(floor(round(least(confidence, 0.9999) * {steps:UInt8}, 4)) / {steps:UInt8}, 4) AS confidence_from,
    count()                                                  AS labelled,
    countIf(truth = '')                                      AS false_positives,
    countIf(truth != '' AND truth != model_prediction)       AS another_category,
    round(false_positives / labelled, 4)                     AS false_share
FROM moderation.labelled_outputs FINAL
INNER JOIN labels USING (content_id, revision)
WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
    AND model_prediction != ''
    AND ({model:String} = '' OR model = {model:String})
GROUP BY model, model_version, model_prediction, confidence_from
ORDER BY model, model_version, model_prediction, confidence_from
SETTINGS do_not_merge_across_partitions_select_final = 1
