"""The HTTP server: the page, the REST API, and the checks that every request passes."""
