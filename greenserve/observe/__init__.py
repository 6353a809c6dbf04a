"""What is told about requests and about the server: access log lines and the two loggers."""
