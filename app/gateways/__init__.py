"""What lies outside the program: the files on disk."""
