"""What a network learns: a task turns labels into targets, and scores back into labels."""
