"""The live feed: venues are polled (or push), the settle barrier orders what arrives, the session steps it."""
