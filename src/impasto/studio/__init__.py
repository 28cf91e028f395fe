"""The studio: a web page and a REST API over ``impasto.iterate``.

The server (``app.py``) keeps jobs in a store and never imports torch; worker processes
(``worker.py``, looked after by ``crew.py``) do the work.
"""
