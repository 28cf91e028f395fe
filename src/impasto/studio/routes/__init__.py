"""The endpoints under ``/v1``: jobs, pictures, and what there is to choose from."""
