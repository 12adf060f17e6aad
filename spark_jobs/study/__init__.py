"""A study: subsets x models x seeds, trained, evaluated and compared. Orders stages; measures nothing itself."""
