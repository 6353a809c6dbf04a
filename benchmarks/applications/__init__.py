"""The WSGI applications that all servers serve, imported as `plain`, `flask_site` and `django_site`."""
