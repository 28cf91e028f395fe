"""Styles by name and by file: built-in styles, bundled styles and the user's library."""
