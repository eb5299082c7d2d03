"""
Businesses that the models are held against: public data sets, and simulated businesses of other rhythms.

Each is built once, on a platform of its own that is deleted afterwards: what is kept of it are its deliveries and the samples
of its products, under a digest of all that they are made by.
"""
