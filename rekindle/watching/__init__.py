"""
Watching: what moves from week to week without being wrong, and should be known before somebody sends.

Figures of a day are held against those of the same weekday a week before. What moved beyond chance is a warning on the
report and an alert; nothing is stopped by it.
"""
