-- This node, in one row.
CREATE TABLE node (
  id        INTEGER PRIMARY KEY CHECK (id = 1),
  published INTEGER NOT NULL, -- every event up to this sequence number is published, or suppressed
  horizon   INTEGER NOT NULL  -- events up to this sequence number may have been swept
) STRICT;
INSERT INTO node VALUES (1, 0, 0);

-- What a check writes, in one row.
CREATE TABLE checks (
  id      INTEGER PRIMARY KEY CHECK (id = 1),
  written BLOB NOT NULL
) STRICT;
INSERT INTO checks VALUES (1, zeroblob(32768));

-- Times are microseconds since the Unix epoch. An alert outlives the log: its row stays when its rooms are swept.
-- The payload comes last: what is before it is read without it.
CREATE TABLE events (
  seq         INTEGER PRIMARY KEY,
  id          BLOB    NOT NULL UNIQUE,
  raised_at   INTEGER NOT NULL,
  stored_at   INTEGER NOT NULL,
  name        TEXT    NOT NULL,
  rooms       BLOB    NOT NULL,
  alert_type  TEXT, -- NULL: not an alert, and the four below mean nothing
  scope       INTEGER, -- 0 a patient's, 1 a hospital's
  suppressed  INTEGER NOT NULL DEFAULT 0,
  patient_id  TEXT,
  hospital_id TEXT,
  payload     TEXT    NOT NULL
) STRICT;

-- An epoch is 8192 sequence numbers. What is searched by thousands of patients or rooms is kept epoch by epoch: so a commit
-- writes to the few pages of the current epoch, and not to a page of its own for every patient. (Single hospitals are few
-- enough not to need it.) Both end in seq, the table's key.
CREATE INDEX alerts_by_patient ON events (seq >> 13, patient_id) WHERE patient_id IS NOT NULL;
CREATE INDEX alerts_by_hospital ON events (hospital_id) WHERE hospital_id IS NOT NULL;

-- When the alerts of an epoch were raised; epochs without alerts are not here.
CREATE TABLE epochs (
  epoch  INTEGER PRIMARY KEY,
  first  INTEGER NOT NULL,
  last   INTEGER NOT NULL
) STRICT;

-- The log by room. Suppressed alerts are never in it.
CREATE TABLE event_rooms (
  epoch INTEGER NOT NULL,
  room  TEXT    NOT NULL,
  seq   INTEGER NOT NULL,
  PRIMARY KEY (epoch, room, seq)
) STRICT, WITHOUT ROWID;

-- When events were published: each row stands for those after the row before and up to its own.
CREATE TABLE publications (
  through INTEGER PRIMARY KEY,
  at      INTEGER NOT NULL
) STRICT;

-- How many sockets got an alert.
CREATE TABLE receipts (
  seq       INTEGER PRIMARY KEY,
  delivered INTEGER NOT NULL,
  recovered INTEGER NOT NULL
) STRICT;

-- Answers kept for idempotency keys, oldest first.
CREATE TABLE outcomes (
  id          INTEGER PRIMARY KEY,
  scope       TEXT    NOT NULL,
  key         TEXT    NOT NULL,
  fingerprint BLOB    NOT NULL,
  at          INTEGER NOT NULL,
  outcome     TEXT    NOT NULL,
  UNIQUE (scope, key)
) STRICT;

CREATE TABLE patients (
  patient_id  TEXT PRIMARY KEY,
  hospital_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE triage_cases (
  triage_id   TEXT PRIMARY KEY,
  patient_id  TEXT,
  hospital_id TEXT,
  status      TEXT    NOT NULL,
  extra       TEXT    NOT NULL, -- JSON object
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX triage_by_hospital ON triage_cases (hospital_id, created_at);
CREATE INDEX triage_by_patient ON triage_cases (patient_id, created_at);
CREATE INDEX triage_by_status ON triage_cases (status, created_at);

CREATE TABLE staff (
  hospital_id TEXT    NOT NULL,
  staff_id    TEXT    NOT NULL,
  staff_type  TEXT    NOT NULL,
  available   INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL,
  PRIMARY KEY (hospital_id, staff_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE beds (
  hospital_id TEXT    NOT NULL,
  bed_id      TEXT    NOT NULL,
  status      TEXT    NOT NULL,
  patient_id  TEXT,
  ward        TEXT,
  floor       ANY, -- a number or a text, as it came
  extra       TEXT    NOT NULL, -- JSON object
  updated_at  INTEGER NOT NULL,
  PRIMARY KEY (hospital_id, bed_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX beds_by_id ON beds (bed_id);

CREATE TABLE bed_boards (
  hospital_id TEXT PRIMARY KEY,
  revision    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE capacity_raised (
  hospital_id TEXT NOT NULL,
  ward        TEXT NOT NULL, -- '' (no ward's name): the whole hospital
  PRIMARY KEY (hospital_id, ward)
) STRICT, WITHOUT ROWID;

CREATE TABLE tasks (
  task_id      BLOB PRIMARY KEY,
  status       TEXT    NOT NULL,
  requested_by TEXT    NOT NULL,
  hospital_id  TEXT,
  created_at   INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL,
  error        TEXT,
  request      TEXT    NOT NULL, -- JSON
  result       TEXT              -- JSON
) STRICT;
CREATE INDEX tasks_unfinished ON tasks (created_at) WHERE status IN ('PENDING', 'STARTED');
CREATE INDEX tasks_finished ON tasks (updated_at) WHERE status IN ('SUCCESS', 'FAILURE');

CREATE TABLE sessions (
  id          INTEGER PRIMARY KEY,
  pid         TEXT    NOT NULL UNIQUE,
  owner       BLOB    NOT NULL,
  began_major INTEGER NOT NULL,
  began_minor INTEGER NOT NULL,
  seen_at     INTEGER NOT NULL
) STRICT;

CREATE TABLE session_rooms (
  session INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  room    TEXT    NOT NULL,
  major   INTEGER NOT NULL,
  minor   INTEGER NOT NULL,
  PRIMARY KEY (session, room)
) STRICT, WITHOUT ROWID;
