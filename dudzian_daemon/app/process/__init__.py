"""The life of the daemon's process: start, recovery, commands, guard, stop."""
