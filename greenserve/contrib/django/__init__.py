"""A Django app with the command ``manage.py greenserve``: put "greenserve.contrib.django" into
INSTALLED_APPS.
"""
