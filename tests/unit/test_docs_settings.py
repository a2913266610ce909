"""No setting goes undocumented: each has a sentence, and the reference is what `weir config --markdown` prints."""

from pathlib import Path

import pytest

from deploy.cli.config import settings_reference
from shared.settings import Settings, environment_name

REFERENCE = Path(__file__).parents[2] / "deploy" / "docs" / "configuration.md"
SEED_NAMES = {
    "DATABASE_URL", "REDIS_URL", "ANALYTICS_DATABASE_URL", "RATE_LIMIT_REQUESTS_PER_MINUTE",
    "RATE_LIMIT_WINDOW_SECONDS", "EVENT_BATCH_SIZE", "EVENT_RETENTION_DAYS", "SECRET_KEY", "ENVIRONMENT", "DEBUG",
}  # fmt: skip


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_says_what_it_does_in_one_sentence(name: str) -> None:
    description = Settings.model_fields[name].description or ""
    assert description[:1].isupper() or description.split()[0] in {"redis-server"}
    assert description.endswith(".")
    assert "|" not in description


@pytest.mark.parametrize("name", Settings.model_fields)
def test_an_attribute_is_its_variable_in_lower_case_without_the_prefix(name: str) -> None:
    variable = environment_name(name)
    assert variable.removeprefix("WEIR_").lower() == name
    assert variable in SEED_NAMES or variable.startswith("WEIR_")


def test_the_reference_is_what_the_command_prints() -> None:
    assert REFERENCE.read_text() == settings_reference(), "run: weir config --markdown > deploy/docs/configuration.md"
