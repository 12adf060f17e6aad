"""SQL builders: pure functions that return named steps. Names say what a row is."""
