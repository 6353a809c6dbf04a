"""Commands of manage.py, each in the module with its name."""
