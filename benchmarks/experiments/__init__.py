"""Studies of this project, each with a command of its own; not in the wheel."""
