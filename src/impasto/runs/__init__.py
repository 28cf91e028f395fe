"""A run: its plan, its events, its result, and what is kept of it."""
