"""What a report shows, read from the tables. The only part of the report that uses Spark."""
