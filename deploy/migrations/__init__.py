"""Numbered, forward-only SQL migrations of `shared/schema`, applied by `weir db migrate`."""

from deploy.migrations.migration import Migration, MigrationState, MigrationStatus
from deploy.migrations.runner import migrate, status

__all__ = ["Migration", "MigrationState", "MigrationStatus", "migrate", "status"]
