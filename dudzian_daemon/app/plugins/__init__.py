"""Plugin files: where they lie, how one is loaded and checked, and what the configuration makes of them."""
