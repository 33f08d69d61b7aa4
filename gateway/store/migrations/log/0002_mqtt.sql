-- What the MQTT broker must find again: an append-only log of messages and their deliveries, one row a commit,
-- and small tables beside it.  Each `crc` is CRC-32 of the data that follows it, seeded with the row's number.

CREATE TABLE mqtt_segments (           -- bytes: gateway/store/mqtt_segments.py
  id INTEGER PRIMARY KEY,
  crc INTEGER NOT NULL,
  data BLOB NOT NULL
);

CREATE TABLE mqtt_sessions (
  sid INTEGER PRIMARY KEY AUTOINCREMENT,  -- a number is never used again, or old deliveries would find a new owner
  kind TEXT NOT NULL,
  identity TEXT NOT NULL,
  client_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  expiry_s INTEGER NOT NULL,
  left_s REAL NOT NULL
);

CREATE TABLE mqtt_subscriptions (
  sid INTEGER NOT NULL,
  pattern TEXT NOT NULL,
  options INTEGER NOT NULL,
  identifier INTEGER NOT NULL,
  PRIMARY KEY (sid, pattern)
) WITHOUT ROWID;

CREATE TABLE mqtt_received (           -- QoS 2 packet ids from clients, until PUBREL
  sid INTEGER NOT NULL,
  packet_id INTEGER NOT NULL,
  PRIMARY KEY (sid, packet_id)
) WITHOUT ROWID;

CREATE TABLE mqtt_retained (           -- small rows, one b-tree: a changed value is one page
  topic BLOB PRIMARY KEY,
  is_node INTEGER NOT NULL,
  crc INTEGER NOT NULL,
  data BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE mqtt_wills (              -- of clients that are connected
  kind TEXT NOT NULL,
  identity TEXT NOT NULL,
  client_id TEXT NOT NULL,
  delay_s INTEGER NOT NULL,
  crc INTEGER NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (kind, identity, client_id)
) WITHOUT ROWID;
