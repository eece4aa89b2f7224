-- What a tenant's EHR said last of a thing.
CREATE TABLE facts (
  tenant TEXT    NOT NULL,
  topic  TEXT    NOT NULL,
  id     TEXT    NOT NULL,
  value  TEXT    NOT NULL,
  at     INTEGER NOT NULL,
  PRIMARY KEY (tenant, topic, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX facts_by_age ON facts (at) WHERE topic <> 'participants';

-- Messages, once for each of those they are for. What was read stays here, so that a repetition is not unread again.
CREATE TABLE letters (
  tenant  TEXT    NOT NULL,
  recipient TEXT  NOT NULL,
  message TEXT    NOT NULL,
  at      INTEGER NOT NULL,
  is_read INTEGER NOT NULL,
  PRIMARY KEY (tenant, recipient, message)
) STRICT, WITHOUT ROWID;
CREATE INDEX letters_unread ON letters (tenant, recipient) WHERE NOT is_read;
CREATE INDEX letters_by_age ON letters (at);
