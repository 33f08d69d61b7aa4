-- state.db: who is who.

CREATE TABLE counters (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO counters (name, value) VALUES ('version', 0);

CREATE TABLE devices (
  id INTEGER PRIMARY KEY,
  uuid TEXT NOT NULL UNIQUE,
  version INTEGER NOT NULL,            -- from counters: grows over deletion and return
  document TEXT NOT NULL
);

CREATE TABLE tokens (
  uuid TEXT NOT NULL REFERENCES devices (uuid) ON DELETE CASCADE,
  hash BLOB NOT NULL,
  metadata TEXT NOT NULL,
  is_root INTEGER NOT NULL,
  expires_ms INTEGER,
  PRIMARY KEY (uuid, hash)
) WITHOUT ROWID;

CREATE TABLE identities (
  hardware_id TEXT PRIMARY KEY,
  uuid TEXT NOT NULL UNIQUE,
  slug TEXT NOT NULL UNIQUE,
  driver TEXT NOT NULL,
  link TEXT NOT NULL,
  claimed_ms INTEGER NOT NULL,
  last_seen_ms INTEGER,
  is_demo INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE children (
  node TEXT PRIMARY KEY,
  owner TEXT
) WITHOUT ROWID;

CREATE TABLE brought (
  device TEXT PRIMARY KEY,
  node TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE invites (
  code_hash BLOB PRIMARY KEY,
  owner TEXT,
  expires_ms INTEGER NOT NULL,
  node TEXT
) WITHOUT ROWID;
