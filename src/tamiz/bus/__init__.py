"""How messages travel between stages."""
