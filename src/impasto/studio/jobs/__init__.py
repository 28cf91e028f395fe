"""Jobs: their requests, database records, uploaded files and results."""
