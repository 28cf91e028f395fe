"""Figures, HTML pages and the notebook's display."""
