"""The functions of the Python API."""
