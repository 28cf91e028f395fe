"""Training of networks that paint in one style: ``impasto learn``."""
