"""Errors, files, folders and devices: what everything else stands on."""
