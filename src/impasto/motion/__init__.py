"""How pictures of a film move."""
