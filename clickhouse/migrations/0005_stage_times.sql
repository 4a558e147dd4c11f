-- How long each stage took, for the percentiles by stage.

ALTER TABLE moderation.moderation_logs ADD COLUMN IF NOT EXISTS
    stage_ms Map(LowCardinality(String), Float32)
    COMMENT 'What it waited for each stage, in milliseconds; of one content in 16, drawn by its id'
    CODEC(ZSTD(1)) AFTER latency_ms
