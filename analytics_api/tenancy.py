"""Whose data a call may see. The one place that decides it."""

from typing import Annotated

from fastapi import Depends

from shared.access import require_scope
from shared.api_keys import ApiKey, Scope
from shared.problems import Problem

Reading = Annotated[ApiKey, Depends(require_scope(Scope.READ))]
"""The key of a call that reads."""


def visible_client(api_key: ApiKey, asked: str | None) -> str | None:
    """The one client whose data the answer is made of; None is all, for admins. Raises Problem forbidden."""
    if api_key.is_admin:
        return asked
    if asked not in (None, api_key.client_id):
        raise Problem("forbidden", "this key reads the data of its own client only; leave 'client_id' out")
    return api_key.client_id
