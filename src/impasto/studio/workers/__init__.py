"""Worker processes, the pool that supervises them, and the message protocol between the two."""
