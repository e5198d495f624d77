"""What each `ddad` command does, one file a command. Torch is imported only where needed."""
