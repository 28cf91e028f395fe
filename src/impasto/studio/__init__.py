"""The studio: a web page and a REST API for making pictures.

The sub-packages, from the bottom up; each imports only from those above it in this list:

- ``jobs/``: what a job is, its database record and its files.
- ``workers/``: the processes that paint, the pool that supervises them and the message protocol.
- ``server/``: the HTTP server with its endpoints. It never imports torch.
- ``page/``: the web page, plain ES modules without a build.
"""
