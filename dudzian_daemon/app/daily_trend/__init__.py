"""`dudzian run-daily-trend`: the daemon restricted to one schedule, what it would run, and the report of a smoke run."""
