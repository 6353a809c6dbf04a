"""PEP 3333: environ, input, response and the calling of the application."""
