"""What is true of the box: pure checks that return facts, for the command, the status page and the metrics."""
