"""The load test: the operator's own schedules at a pace of the market that is far above a day's, and what that takes of the budgets."""
