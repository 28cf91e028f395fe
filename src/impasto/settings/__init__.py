"""Recipes, presets, and the files from which they are read."""
