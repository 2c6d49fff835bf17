"""What lies on disk: a person's annotations with every revision, in one SQLite database a session."""
