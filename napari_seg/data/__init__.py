"""Images, volumes and masks: what they are, where they lie, and the files they come from and go to."""
