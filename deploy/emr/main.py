"""What `spark-submit` starts: the command line of parrot."""

from spark_jobs.cli import main

main()
