"""What do you attach? One file for each source."""
