"""Training of networks that paint in one style, for ``impasto learn``."""
