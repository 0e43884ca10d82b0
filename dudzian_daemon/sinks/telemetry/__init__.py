"""Scheduler telemetry: the runs of schedules, and the sink that writes a line for each."""
