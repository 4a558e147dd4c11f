-- A legal hold covers what the author posts later as well: the default of content.legal_hold looks it up.

CREATE TABLE IF NOT EXISTS moderation.legal_holds
(
    author_id String                                      COMMENT 'Whose contents are kept, now and later',
    held      Bool DEFAULT true                           COMMENT 'Always true: what joinGet gives of them, false of all others',
    held_at   DateTime64(3, 'UTC') DEFAULT now64(3)       COMMENT 'Since when'
)
ENGINE = Join(ANY, LEFT, author_id)
COMMENT 'Authors under legal hold, in memory and on disk: content.legal_hold of a new row is looked up here';

INSERT INTO moderation.legal_holds (author_id) SELECT DISTINCT author_id FROM moderation.content FINAL WHERE legal_hold;

ALTER TABLE moderation.content
    MODIFY COLUMN legal_hold Bool DEFAULT joinGet('moderation.legal_holds', 'held', author_id)
