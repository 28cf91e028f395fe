"""The methods: algorithms that make a stylized image, a package each behind one interface."""
