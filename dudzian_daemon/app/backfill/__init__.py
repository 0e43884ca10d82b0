"""Fetching history: what is missing, which market of the venue has it, and the paging loop that stores it."""
