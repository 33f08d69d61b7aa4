-- log.db: what was said.  Numbers of a log fit in 36 bits; a block's id is its log's position << 36 | first number,
-- so that one b-tree serves "oldest first" and "this block" without an index (measured: an index doubles the pages of a commit).

CREATE TABLE store (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  store_id TEXT NOT NULL
);

CREATE TABLE logs (
  position INTEGER PRIMARY KEY,
  log TEXT NOT NULL UNIQUE,
  started_ms INTEGER NOT NULL,
  last INTEGER NOT NULL DEFAULT 0,
  is_closed INTEGER NOT NULL DEFAULT 0,
  blocks INTEGER NOT NULL DEFAULT 0,   -- counted with every write: a start need not read all blocks
  records INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0,
  device_numbers TEXT                  -- of a closed log
);

CREATE TABLE blocks (
  id INTEGER PRIMARY KEY,
  last INTEGER NOT NULL,
  lane INTEGER NOT NULL,
  boot_id TEXT NOT NULL,
  uptime_ms INTEGER NOT NULL,          -- of the first record
  crc INTEGER NOT NULL,
  raw_bytes INTEGER NOT NULL,
  settled TEXT NOT NULL DEFAULT '',    -- numbers of it that are settled already
  data BLOB NOT NULL
);

CREATE TABLE damaged (                 -- set aside for inspection; the newest few are kept
  id INTEGER PRIMARY KEY,
  log TEXT NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  reason TEXT NOT NULL,
  data BLOB NOT NULL
);

CREATE TABLE voids (
  log TEXT NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (log, first)
) WITHOUT ROWID;

CREATE TABLE dead_letters (
  id INTEGER PRIMARY KEY,
  log TEXT NOT NULL,
  number INTEGER NOT NULL,
  reason TEXT NOT NULL,
  boot_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  sender TEXT NOT NULL,
  uptime_ms INTEGER NOT NULL,
  device_number INTEGER NOT NULL,
  origin TEXT NOT NULL,
  body BLOB NOT NULL,
  UNIQUE (log, number)
);

CREATE TABLE anchors (                 -- node '': our own boots
  id INTEGER PRIMARY KEY,
  node TEXT NOT NULL,
  boot_id TEXT NOT NULL,
  uptime_ms INTEGER NOT NULL,
  wall_ms INTEGER NOT NULL,
  error_ms INTEGER NOT NULL,
  UNIQUE (node, boot_id, uptime_ms)
);

CREATE TABLE inbox (
  id INTEGER PRIMARY KEY,
  command_id TEXT NOT NULL UNIQUE,
  start TEXT NOT NULL,                 -- the process that admitted it
  command TEXT,                        -- until it is finished
  outcome TEXT
);

CREATE TABLE down_taken (
  id INTEGER PRIMARY KEY,
  down_log TEXT NOT NULL UNIQUE,
  taken TEXT NOT NULL
);

CREATE TABLE fences (
  node TEXT PRIMARY KEY,
  store_id TEXT NOT NULL,
  fence INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE intake (
  id INTEGER PRIMARY KEY,
  node TEXT NOT NULL,
  log TEXT NOT NULL,
  taken TEXT NOT NULL DEFAULT '',
  ended_last INTEGER,
  device_numbers TEXT,
  UNIQUE (node, log)
);

CREATE TABLE refusals (                -- until the child has made dead letters of them
  node TEXT NOT NULL,
  log TEXT NOT NULL,
  number INTEGER NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (node, log, number)
) WITHOUT ROWID;

CREATE TABLE lost (
  node TEXT NOT NULL,
  log TEXT NOT NULL,
  reason TEXT NOT NULL,
  numbers TEXT NOT NULL,
  PRIMARY KEY (node, log, reason)
) WITHOUT ROWID;

CREATE TABLE down_logs (
  down_log TEXT PRIMARY KEY,
  node TEXT NOT NULL,
  store_id TEXT NOT NULL,              -- '': the child has not been seen yet
  last INTEGER NOT NULL,
  UNIQUE (node, store_id)
) WITHOUT ROWID;

CREATE TABLE down_commands (
  down_log TEXT NOT NULL,
  number INTEGER NOT NULL,
  deadline_wall_ms INTEGER NOT NULL,
  command TEXT NOT NULL,
  PRIMARY KEY (down_log, number)
) WITHOUT ROWID;

CREATE TABLE history_devices (
  slot INTEGER PRIMARY KEY,
  device TEXT NOT NULL UNIQUE,
  last INTEGER NOT NULL,
  records INTEGER NOT NULL
);

CREATE TABLE history (                 -- id = slot << 32 | number: a device's rows lie together
  id INTEGER PRIMARY KEY,
  node TEXT NOT NULL,
  log TEXT NOT NULL,
  boot_id TEXT NOT NULL,
  taken_ms INTEGER NOT NULL,
  records INTEGER NOT NULL,
  lines BLOB NOT NULL
);
