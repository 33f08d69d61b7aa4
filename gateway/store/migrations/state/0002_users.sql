-- Local users that `gateway broker user` keeps; those of gateway.toml are not here.

CREATE TABLE users (
  name TEXT PRIMARY KEY,
  salt BLOB NOT NULL,
  hash BLOB NOT NULL,                  -- scrypt, see gateway/app/logins.py
  roles TEXT NOT NULL,                 -- JSON list of names
  created_ms INTEGER NOT NULL
) WITHOUT ROWID;
