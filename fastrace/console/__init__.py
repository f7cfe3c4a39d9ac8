"""What every command prints with: progress on stderr, numbers, intervals and counts in words, aligned tables."""
