"""Whether the candles that an environment needs are stored: what it needs, how each series is judged, the whole report."""
