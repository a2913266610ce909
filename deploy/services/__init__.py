"""The composition root of each service: clients, pools and parts are made here, from settings and endpoints.

A module a service, so that a process imports what it runs and nothing else.
"""
