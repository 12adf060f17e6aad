"""The HTML report: data in, one self-contained page out. No Spark here."""
