"""Whether a paper session may begin: configuration, candles, the gate itself, keys and the machine; one report for all of it."""
