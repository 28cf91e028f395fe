"""Numbers about pictures and networks."""
