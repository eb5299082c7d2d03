"""What is measured: a file each, whose `measured()` yields lines of the table."""
