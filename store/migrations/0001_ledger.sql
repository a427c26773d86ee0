-- Times are Unix milliseconds unless a column says otherwise.
-- AUTOINCREMENT: where other rows, payloads or people keep an id, it must not come again when retention has removed the newest row.

-- Jobs, sources and destinations: other rows have the number of a name, so that a rename changes one row.
CREATE TABLE names (
  id   INTEGER PRIMARY KEY,
  kind TEXT    NOT NULL,               -- job, source, destination
  name TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX names_name ON names (kind, name);

-- spool: bytes kept for a file or a message; small ones here, large ones in a file named by name.
CREATE TABLE objects (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  size   INTEGER NOT NULL,
  digest BLOB    NOT NULL,             -- SHA-256
  name   TEXT,                         -- file under spool/, NULL when inline
  bytes  BLOB,                         -- NULL when in a file
  made   INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX objects_name ON objects (name) WHERE name IS NOT NULL;

-- ledger
CREATE TABLE files (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  source  INTEGER NOT NULL,            -- in names
  path    BLOB    NOT NULL,            -- as the source names it, any bytes, relative to the source's folder; of a partner: PARTNER/path
  version TEXT    NOT NULL,            -- what the source tells versions apart by (inode, size, times)
  size    INTEGER NOT NULL,
  mtime   INTEGER NOT NULL,            -- Unix nanoseconds
  digest  BLOB,
  object  INTEGER,
  state   TEXT    NOT NULL,            -- seen, landed, closable, closed
  reason  TEXT    NOT NULL DEFAULT '', -- seen: why it is not taken; closable: done or failed; closed: where it went
  until   INTEGER,                     -- seen: when it will be looked at again
  seen    INTEGER NOT NULL,
  landed  INTEGER,
  closed  INTEGER,
  partner TEXT    NOT NULL DEFAULT '', -- who sent it, '' where the source knows no partners
  trial   INTEGER NOT NULL DEFAULT 0,  -- 1: only to be tried, nothing of it is sent
  parent  INTEGER,                     -- of a member of an archive: the entry that took it out, first run
  member  BLOB                         -- and its path in the archive, with which path ends
) STRICT;
CREATE UNIQUE INDEX files_version ON files (source, path, version);
CREATE INDEX files_digest ON files (digest) WHERE digest IS NOT NULL;
CREATE INDEX files_closable ON files (source, id) WHERE state = 'closable';
CREATE INDEX files_seen ON files (source, path) WHERE state = 'seen';
CREATE INDEX files_waiting ON files (source, path, size) WHERE state IN ('landed', 'closable') AND object IS NOT NULL AND partner <> '' AND parent IS NULL; -- what a drop folder shows
CREATE INDEX files_parent ON files (parent) WHERE parent IS NOT NULL;
CREATE INDEX files_kept ON files (closed) WHERE closed IS NOT NULL AND object IS NOT NULL; -- for retention

CREATE TABLE entries (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  kind     TEXT    NOT NULL,           -- file, tick, request, manual
  job      INTEGER NOT NULL,           -- in names
  run      INTEGER NOT NULL DEFAULT 1, -- 2 and more: replays
  origin   INTEGER,                    -- replay of this entry
  file     INTEGER,
  source   INTEGER,                    -- in names; that of its file
  name     TEXT    NOT NULL DEFAULT '',-- shown: the file's name escaped, or the tick's instant
  identity TEXT,                       -- claimed while not NULL; freed by rejection and cancelling
  verdict  TEXT    NOT NULL,           -- new, redelivery, suspect, correction, empty
  twin     INTEGER,                    -- the entry that the verdict speaks of
  state    TEXT    NOT NULL,           -- held, received, working, accepted, delivered, rejected, failed, duplicate, cancelled
  reason   TEXT    NOT NULL DEFAULT '',
  hold     TEXT    NOT NULL DEFAULT '',-- held: what for, in a word, which approving adds to approved
  approved TEXT    NOT NULL DEFAULT '',-- what a person has let pass, one a line
  records  INTEGER NOT NULL DEFAULT 0,
  messages INTEGER NOT NULL DEFAULT 0,
  rejects  INTEGER NOT NULL DEFAULT 0,
  dead     INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0,
  due      INTEGER NOT NULL DEFAULT 0, -- after a failure: when it is tried again; held: when it is rejected by itself; 0: neither
  token    INTEGER NOT NULL DEFAULT 0, -- fencing token of the claim, rises
  since    INTEGER,                    -- window of a tick, [since, till)
  till     INTEGER,
  config   TEXT    NOT NULL DEFAULT '',-- digest of the job's configuration when accepted
  received INTEGER NOT NULL,
  accepted INTEGER,
  finished INTEGER,
  partner  TEXT    NOT NULL DEFAULT '',-- as of its file
  trial    INTEGER NOT NULL DEFAULT 0  -- as of its file; claims no identity, releases no message
) STRICT;
CREATE UNIQUE INDEX entries_identity ON entries (job, identity) WHERE identity IS NOT NULL;
CREATE INDEX entries_due ON entries (job, id) WHERE state IN ('received', 'working');
CREATE INDEX entries_waiting ON entries (job, due) WHERE state IN ('received', 'working') AND due <> 0; -- after a failure
CREATE INDEX entries_ending ON entries (due) WHERE state = 'held' AND due <> 0;
CREATE INDEX entries_open ON entries (state, id) WHERE state IN ('held', 'received', 'working', 'accepted', 'failed');
CREATE INDEX entries_file ON entries (file) WHERE file IS NOT NULL;
CREATE INDEX entries_origin ON entries (origin) WHERE origin IS NOT NULL;

-- Identities of entries that retention has removed; live ones stand in entries.
CREATE TABLE identities (
  job      INTEGER NOT NULL,           -- in names
  identity TEXT    NOT NULL,
  entry    INTEGER NOT NULL,
  at       INTEGER NOT NULL,           -- when the entry came to its end
  PRIMARY KEY (job, identity)
) STRICT, WITHOUT ROWID;
CREATE INDEX identities_at ON identities (at); -- for retention

CREATE TABLE rejects (
  entry  INTEGER NOT NULL,
  record INTEGER NOT NULL,             -- 0: the file as a whole
  seq    INTEGER NOT NULL,
  line   INTEGER NOT NULL,
  field  TEXT    NOT NULL,
  value  TEXT    NOT NULL,             -- cut and escaped
  reason TEXT    NOT NULL,
  PRIMARY KEY (entry, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE keys (                    -- of jobs with check.unique
  job    TEXT    NOT NULL,
  key    BLOB    NOT NULL,             -- SHA-256 of the key, 16 bytes
  digest BLOB    NOT NULL,             -- SHA-256 of the content, 16 bytes
  entry  INTEGER NOT NULL,
  record INTEGER NOT NULL,
  token  INTEGER NOT NULL,             -- of the claim it was kept under; it counts when that is the one the entry was accepted under
  until  INTEGER,                      -- NULL: for ever
  PRIMARY KEY (job, key, token)
) STRICT, WITHOUT ROWID;
CREATE INDEX keys_entry ON keys (entry);
CREATE INDEX keys_until ON keys (until) WHERE until IS NOT NULL; -- for retention

CREATE TABLE sequences (               -- of jobs with check.sequence: the last number of each
  job   TEXT    NOT NULL,
  key   BLOB    NOT NULL,              -- SHA-256 of the partner and what is counted, 16 bytes
  per   TEXT    NOT NULL,              -- what is counted, shown
  value INTEGER NOT NULL,
  entry INTEGER NOT NULL,              -- which brought it
  at    INTEGER NOT NULL,
  PRIMARY KEY (job, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE awaited (                 -- entries that are held until numbers before theirs have come
  job   TEXT    NOT NULL,
  key   BLOB    NOT NULL,
  need  INTEGER NOT NULL,              -- the number that they follow
  entry INTEGER NOT NULL,
  PRIMARY KEY (job, key, need, entry)
) STRICT, WITHOUT ROWID;
CREATE INDEX awaited_entry ON awaited (entry);

CREATE TABLE companions (              -- files that belong to an entry beside its own
  entry INTEGER NOT NULL,              -- first run
  role  TEXT    NOT NULL,              -- what the file is to it: companion, header, trailer
  file  INTEGER NOT NULL,
  PRIMARY KEY (entry, role)
) STRICT, WITHOUT ROWID;
CREATE INDEX companions_file ON companions (file);

CREATE TABLE incomplete (              -- entries that are held until the files that belong to them have come
  job   INTEGER NOT NULL,              -- in names
  key   BLOB    NOT NULL,              -- SHA-256 of source, partner and what the names have in common, 16 bytes
  entry INTEGER NOT NULL,
  due   INTEGER,                       -- when it is told that it still waits; NULL: never, or it was
  PRIMARY KEY (job, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX incomplete_entry ON incomplete (entry);
CREATE INDEX incomplete_due ON incomplete (due) WHERE due IS NOT NULL;

CREATE TABLE owed (                    -- acknowledgements to be made, of jobs that acknowledge; gone once they are in the outbox
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  entry  INTEGER NOT NULL,
  after  TEXT    NOT NULL,             -- what the entry came to: accepted, rejected, held, duplicate
  reason TEXT    NOT NULL,             -- of that, for the partner
  figures TEXT NOT NULL DEFAULT '',    -- JSON: header, trailer and totals of its file, for what the job tells of them
  at     INTEGER NOT NULL
) STRICT;
CREATE INDEX owed_entry ON owed (entry);

CREATE TABLE events (
  id      INTEGER PRIMARY KEY,
  at      INTEGER NOT NULL,
  node    TEXT    NOT NULL,
  kind    TEXT    NOT NULL,
  entry   INTEGER,                     -- NULL when the event is of several entries or of none
  entries TEXT,                        -- JSON array of ids, when of several
  detail  TEXT    NOT NULL,            -- JSON object
  hash    BLOB    NOT NULL             -- SHA-256(hash of the one before on that node, canonical row)
) STRICT;
CREATE INDEX events_entry ON events (entry) WHERE entry IS NOT NULL;
CREATE INDEX events_at ON events (at);
CREATE INDEX events_node ON events (node, id); -- the head of a chain

CREATE TABLE controls (
  id      INTEGER PRIMARY KEY,
  kind    TEXT    NOT NULL,            -- pause, resume, run, approve, cancel, resend, …
  subject TEXT    NOT NULL,
  args    TEXT    NOT NULL DEFAULT '{}',
  by      TEXT    NOT NULL,
  at      INTEGER NOT NULL,
  state   TEXT    NOT NULL DEFAULT 'waiting', -- waiting, done, failed
  result  TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX controls_waiting ON controls (id) WHERE state = 'waiting';

CREATE TABLE marks (
  job  TEXT NOT NULL,
  name TEXT NOT NULL,
  at   INTEGER NOT NULL DEFAULT 0,
  text TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (job, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE status (                  -- what a process tells of itself and its parts; one row a part
  part TEXT PRIMARY KEY,               -- "node", "source/NAME", "destination/NAME", "job/NAME"
  text TEXT NOT NULL,                  -- JSON object
  at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- outbox. A lot is the batches of one parent under one token; it needs no row of its own.
CREATE TABLE batches (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  parent      INTEGER NOT NULL,        -- the entry; negative: the entry's acknowledgements, which it does not wait for
  token       INTEGER NOT NULL,        -- the claim it was staged under
  destination INTEGER NOT NULL,        -- in names
  route       TEXT    NOT NULL,        -- which send of which job: "orders/0"
  seq         INTEGER NOT NULL,        -- within the lot
  first       INTEGER NOT NULL,        -- record number of the first message
  count       INTEGER NOT NULL,
  state       TEXT    NOT NULL,        -- staged, ready, done
  settled     INTEGER NOT NULL DEFAULT 0, -- 1: the last of its lot; jobs has not finished the entry yet
  done        BLOB,                    -- bitmap: confirmed or set aside
  sending     BLOB,                    -- bitmap: handed to the target, outcome not stored
  dead        INTEGER NOT NULL DEFAULT 0,
  repeats     INTEGER NOT NULL DEFAULT 0, -- messages sent again because no answer came; after crashes: see the mark doubts
  attempts    INTEGER NOT NULL DEFAULT 0, -- passes
  due         INTEGER NOT NULL DEFAULT 0,
  trouble     TEXT    NOT NULL DEFAULT '', -- JSON: the messages that have failed so far
  answers     TEXT    NOT NULL DEFAULT '', -- ids of its rows in answers, comma separated
  made        INTEGER NOT NULL,
  finished    INTEGER
) STRICT;
CREATE INDEX batches_ready ON batches (destination, id, count, made) WHERE state = 'ready';
CREATE INDEX batches_finished ON batches (id, finished) WHERE state = 'done' AND settled = 0;
CREATE INDEX batches_parent ON batches (parent, state);
CREATE INDEX batches_settled ON batches (id) WHERE settled = 1;
CREATE INDEX batches_staged ON batches (parent, token) WHERE state = 'staged';

CREATE TABLE payloads (
  batch  INTEGER PRIMARY KEY,
  keys   BLOB NOT NULL,                -- 32-bit hashes of keys; before frames, so that trace never reads those
  frames BLOB NOT NULL                 -- keys as 16 bytes each, then bodies, headers and the rest of each message, zstd if they are many (outbox/frame.go)
) STRICT;

CREATE TABLE outputs (                 -- files that a job wrote for its messages: who refers to which object
  object INTEGER NOT NULL,
  parent INTEGER NOT NULL,             -- the entry
  token  INTEGER NOT NULL,             -- the claim it was written under
  PRIMARY KEY (object, parent)
) STRICT, WITHOUT ROWID;
CREATE INDEX outputs_parent ON outputs (parent);

CREATE TABLE answers (
  id          INTEGER PRIMARY KEY,
  at          INTEGER NOT NULL,
  keys        BLOB    NOT NULL,        -- 32-bit hashes of captured values
  frame       BLOB    NOT NULL         -- zstd: batch, index and receipt of each message
) STRICT;

CREATE TABLE dead_letters (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  parent      INTEGER NOT NULL,
  batch       INTEGER NOT NULL,
  idx         INTEGER NOT NULL,
  destination INTEGER NOT NULL,        -- in names
  route       TEXT    NOT NULL,
  key         TEXT    NOT NULL,
  record      INTEGER NOT NULL,
  state       TEXT    NOT NULL,        -- open, resent, discarded
  kind        TEXT    NOT NULL,        -- refused, exhausted, expired, unknown
  reason      TEXT    NOT NULL,
  history     TEXT    NOT NULL,        -- JSON array of attempts
  at          INTEGER NOT NULL,
  closed      INTEGER,
  note        TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX dead_open ON dead_letters (destination, id) WHERE state = 'open';
CREATE INDEX dead_parent ON dead_letters (parent);
CREATE INDEX dead_batch ON dead_letters (batch);
