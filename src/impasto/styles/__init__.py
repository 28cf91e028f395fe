"""Styles by name and by file: built-in and bundled ones, and those of the user's library."""
