"""The vectors of each area."""
