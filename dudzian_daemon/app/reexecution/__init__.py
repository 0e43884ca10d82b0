"""`dudzian replay` and the evidence pack: a session run again from its log, by someone who does not trust us."""
