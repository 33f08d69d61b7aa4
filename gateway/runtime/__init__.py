"""What every long-running program needs: supervision, signals, clock, logs, metrics, systemd."""
