-- Times are microseconds since the Unix epoch, as everywhere in wardbell.
-- Text that other systems choose is kept with NUL escaped, which PostgreSQL cannot hold.

-- The last sequence number. Whoever stores events takes theirs from this row and holds it until their commit is over: so
-- numbers are given in the order of commits, and whoever sees one event sees all with lower numbers.
CREATE TABLE numbering (
  id   smallint PRIMARY KEY CHECK (id = 1),
  last bigint NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
INSERT INTO numbering VALUES (1, 0);

-- What else all nodes share, in one row.
CREATE TABLE shared (
  id            smallint PRIMARY KEY CHECK (id = 1),
  horizon_major bigint NOT NULL, -- events up to this position may have been swept
  horizon_minor bigint NOT NULL,
  checked       bigint NOT NULL  -- how often a check has written
);
INSERT INTO shared VALUES (1, 0, 0, 0);

-- What happened. Rows are written once and never changed. An alert outlives the log: its row stays when its rooms are swept.
CREATE TABLE events (
  sequence     bigint   PRIMARY KEY,
  major        bigint   NOT NULL,  -- the position: the sequence number and 0, or what a spool published it under
  minor        bigint   NOT NULL,
  id           uuid     NOT NULL UNIQUE,
  raised_at    bigint   NOT NULL,
  stored_at    bigint   NOT NULL,
  published_at bigint,             -- NULL: suppressed
  scope        smallint,           -- 0 a patient's, 1 a hospital's alert; NULL: not an alert, and the four below mean nothing
  suppressed   boolean  NOT NULL,
  alert_type   text,
  patient_id   text     COLLATE "C",
  hospital_id  text     COLLATE "C",
  name         text     NOT NULL,
  rooms        jsonb    NOT NULL,  -- array of names
  payload      text     NOT NULL   -- JSON, as it is sent; jsonb would change it
);
CREATE UNIQUE INDEX events_by_position ON events (major, minor) WHERE NOT suppressed;
CREATE INDEX alerts ON events (sequence) WHERE scope IS NOT NULL;
CREATE INDEX alerts_by_time ON events (raised_at, sequence) WHERE scope IS NOT NULL;
CREATE INDEX alerts_by_patient ON events (patient_id, raised_at, sequence) WHERE scope IS NOT NULL AND patient_id IS NOT NULL;
CREATE INDEX alerts_by_hospital ON events (hospital_id, raised_at, sequence) WHERE scope IS NOT NULL AND hospital_id IS NOT NULL;

-- The log by room, without suppressed alerts. `room` is the beginning of the SHA-256 of its name: names of other systems
-- have no bound.
CREATE TABLE event_rooms (
  room     bytea  NOT NULL,
  major    bigint NOT NULL,
  minor    bigint NOT NULL,
  sequence bigint NOT NULL,
  PRIMARY KEY (room, major, minor)
);

-- How many sockets got an alert.
CREATE TABLE receipts (
  event_id  uuid PRIMARY KEY,
  delivered bigint NOT NULL,
  recovered bigint NOT NULL
) WITH (fillfactor = 70);

-- Answers kept for idempotency keys. `id` is the SHA-256 of scope and key.
CREATE TABLE outcomes (
  id          bytea  PRIMARY KEY,
  fingerprint bytea  NOT NULL,
  at          bigint NOT NULL,
  outcome     text   NOT NULL
);
CREATE INDEX outcomes_by_age ON outcomes (at);

CREATE TABLE patients (
  patient_id  text COLLATE "C" PRIMARY KEY,
  hospital_id text COLLATE "C" NOT NULL
);

CREATE TABLE triage_cases (
  triage_id   text   COLLATE "C" PRIMARY KEY,
  patient_id  text   COLLATE "C",
  hospital_id text   COLLATE "C",
  status      text   NOT NULL,
  extra       text   NOT NULL, -- JSON object
  created_at  bigint NOT NULL,
  updated_at  bigint NOT NULL
);
CREATE INDEX triage_by_hospital ON triage_cases (hospital_id, created_at);
CREATE INDEX triage_by_patient ON triage_cases (patient_id, created_at);
CREATE INDEX triage_by_status ON triage_cases (status, created_at);

CREATE TABLE staff (
  hospital_id text    COLLATE "C" NOT NULL,
  staff_id    text    COLLATE "C" NOT NULL,
  staff_type  text    NOT NULL,
  available   boolean NOT NULL,
  updated_at  bigint  NOT NULL,
  PRIMARY KEY (hospital_id, staff_id)
);

CREATE TABLE beds (
  hospital_id text   COLLATE "C" NOT NULL,
  bed_id      text   COLLATE "C" NOT NULL,
  status      text   NOT NULL,
  patient_id  text,
  ward        text   COLLATE "C",
  floor       text, -- JSON: a number or a text
  extra       text   NOT NULL, -- JSON object
  updated_at  bigint NOT NULL,
  PRIMARY KEY (hospital_id, bed_id)
);
CREATE INDEX beds_by_id ON beds (bed_id);

CREATE TABLE bed_boards (
  hospital_id text   COLLATE "C" PRIMARY KEY,
  revision    bigint NOT NULL,
  raised      text   NOT NULL -- JSON array of the scopes whose alert went out: null the hospital, a string a ward
);

CREATE TABLE tasks (
  task_id      uuid   PRIMARY KEY,
  status       text   NOT NULL,
  requested_by text   NOT NULL,
  hospital_id  text,
  created_at   bigint NOT NULL,
  updated_at   bigint NOT NULL,
  error        text,
  request      text   NOT NULL, -- JSON
  result       text             -- JSON
);
CREATE INDEX tasks_unfinished ON tasks (created_at) WHERE status IN ('PENDING', 'STARTED');
CREATE INDEX tasks_finished ON tasks (updated_at) WHERE status IN ('SUCCESS', 'FAILURE');

CREATE TABLE sessions (
  pid         text   COLLATE "C" PRIMARY KEY,
  owner       bytea  NOT NULL,
  began_major bigint NOT NULL,
  began_minor bigint NOT NULL,
  seen_at     bigint NOT NULL,
  rooms       jsonb  NOT NULL -- object: name to position
) WITH (fillfactor = 80);
CREATE INDEX sessions_by_age ON sessions (seen_at);
