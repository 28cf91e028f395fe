"""The functions of ``import impasto``."""
