"""The local platform: every server that a deployment needs, on one machine, without root, Docker or Java."""
