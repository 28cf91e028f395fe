"""Errors, files, folders and devices, which every other package uses."""
