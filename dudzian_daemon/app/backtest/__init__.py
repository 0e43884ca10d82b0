"""`dudzian backtest`: the same core over stored candles, its result, statistics and picture."""
