"""The project's files onto a board: only what changed, and never half of it."""
