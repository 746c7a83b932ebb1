"""State of every row: its assignment with its one owner, and the columns in which commands are followed."""
