"""What each command of `ddad-admin` does, one file a group of commands."""
