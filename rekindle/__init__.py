"""What all of Rekindle shares: settings, contracts, tables, checks, publishing, the local platform, the command line."""
