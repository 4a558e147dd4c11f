-- model_versions_compared: How do the versions of a model compare?
--
-- Over all content: how much each version flags and how sure it is. Over labelled content: precision and
-- recall of flagging any violation; only versions that saw like content compare fairly.
--
-- Parameters:
--   since  DateTime64(3, 'UTC')  = newest - 28 days  first moment, UTC
--   until  DateTime64(3, 'UTC')  = newest            end, not included
--   model  String                = ''                one model, empty for all
--
-- Sample:
--   model        model_version  contents  flagged_share  mean_confidence  labelled  precision  recall
--   text-fast    3              1852      0.1668         0.8099           531       0.9167     0.5677
--   text-fast    4              1148      0.2753         0.8007           362       0.9238     0.7239
--   transformer  1              598       0.2107         0.8              170       0.925      0.6271

WITH
    labels AS
    (
        SELECT content_id, revision, argMax(answer, (source = 'golden', labeled_at)) AS truth
        FROM moderation.label_answers
        -- A label follows its post; a day for clocks that differ.
        WHERE labeled_at >= {since:DateTime64(3, 'UTC')} - INTERVAL 1 DAY
        GROUP BY content_id, revision
    ),
    overall AS
    (
        SELECT
            model,
            model_version,
            count()                               AS contents,
            round(avg(model_prediction != ''), 4) AS flagged_share,
            round(avg(confidence), 4)             AS mean_confidence
        FROM moderation.model_outputs FINAL
        WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
            AND ({model:String} = '' OR model = {model:String})
        GROUP BY model, model_version
    ),
    judged AS
    (
        SELECT
            model,
            model_version,
            count()                                             AS labelled,
            countIf(model_prediction != '' AND truth != '')     AS hits,
            countIf(model_prediction != '')                     AS flagged,
            countIf(truth != '')                                AS violations
        FROM moderation.labelled_outputs FINAL
        INNER JOIN labels USING (content_id, revision)
        WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
            AND ({model:String} = '' OR model = {model:String})
        GROUP BY model, model_version
    )
SELECT
    model,
    model_version,
    contents,
    flagged_share,
    mean_confidence,
    labelled,
    if(flagged = 0, NULL, round(hits / flagged, 4))        AS precision,
    if(violations = 0, NULL, round(hits / violations, 4))  AS recall
FROM overall
LEFT JOIN judged USING (model, model_version)
ORDER BY model, model_version
SETTINGS do_not_merge_across_partitions_select_final = 1
