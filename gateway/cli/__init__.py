"""The `gateway` command: one command a file, imported only when it is called, so that each is quick on a Pi.

`main` parses the line and asks a module for `configure(parser)` and `run(args) -> exit code`.  A command that asks
the running node does so over the control socket of its state directory (`control_client`), and does nothing itself.
Nobody imports this package.
"""
