-- What a tenant's EHR said last of a thing.
CREATE TABLE facts (
  tenant text   COLLATE "C" NOT NULL,
  topic  text   COLLATE "C" NOT NULL,
  id     text   COLLATE "C" NOT NULL,
  value  text   NOT NULL,
  at     bigint NOT NULL,
  PRIMARY KEY (tenant, topic, id)
);
CREATE INDEX facts_by_age ON facts (at) WHERE topic <> 'participants';

-- Messages, once for each of those they are for. What was read stays here, so that a repetition is not unread again.
CREATE TABLE letters (
  tenant  text    COLLATE "C" NOT NULL,
  recipient text  COLLATE "C" NOT NULL,
  message text    COLLATE "C" NOT NULL,
  at      bigint  NOT NULL,
  is_read boolean NOT NULL,
  PRIMARY KEY (tenant, recipient, message)
);
CREATE INDEX letters_unread ON letters (tenant, recipient) WHERE NOT is_read;
CREATE INDEX letters_by_age ON letters (at);
