"""`make bench`: how fast Weir is on this machine, beside what the machine can do at best.

Fresh servers, real processes, everything on (keys, limits, audit, duplicate filter, rollups, enrichment). Each figure
stands beside its floor, measured in the same run, in turn. A lost event makes the program fail; a slow one does not.
"""
