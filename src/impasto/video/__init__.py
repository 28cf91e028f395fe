"""Films in another style."""
