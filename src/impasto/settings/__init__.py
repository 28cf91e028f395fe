"""Recipes, presets and the files that they are read from."""
