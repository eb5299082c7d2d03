"""Filling the landing zone: public samples, histories that come as one file, and the writing of deliveries."""
