"""The laboratory: cache policies, and experiments over grids of settings."""
