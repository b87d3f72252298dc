"""When, and in what order: definitions, partitions, jobs, sensors, schedules, checks, and the command line."""
