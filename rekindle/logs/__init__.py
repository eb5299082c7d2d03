"""
What a service logs, made fit to be kept: one JSON object an entry, without phones, mail addresses, tokens and passwords.

`python -m rekindle.logs SERVICE -- COMMAND…` runs a service as its child and passes on what it writes. Nothing here needs
more than Python 3.11: an image without our packages copies this folder as `rekindle/logs`.
"""
