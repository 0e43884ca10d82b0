"""Parameter search over a strategy through the product's own backtest: combinations, windows, workers, results, winners."""
