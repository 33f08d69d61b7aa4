"""Configuration: `gateway.toml` as typed settings, with errors that name file, line and key."""
