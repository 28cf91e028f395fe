"""The methods: algorithms that make a stylized image, one package for each."""
