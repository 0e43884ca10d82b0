"""`dudzian parity`: a recorded session beside a backtest of its window, and why they differ."""
