"""The `gateway` command: one command a file, imported only when it is called."""
