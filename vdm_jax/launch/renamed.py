"""Settings of stored configs and records under the names that they have now."""

from typing import Any

# (section, former name): the name now.
SETTINGS = {
    ("chain_probes", f"told_{name}"): f"real_or_generated_{name}"
    for name in ("net", "hidden", "updates", "learning_rate")
}
# (section, name now): {former value: the value now}.
NETS = {"evidence": "matched_statistics"}
VALUES = {("probe", "net"): NETS, ("chain_probes", "real_or_generated_net"): NETS}


def with_new_names(stored: dict[str, Any]) -> dict[str, Any]:
    """The sections of a stored config, with the settings and values that have another name now."""
    found = dict(stored)
    for section, settings in stored.items():
        if isinstance(settings, dict):
            named = {SETTINGS.get((section, name), name): value for name, value in settings.items()}
            found[section] = {name: _value(section, name, value) for name, value in named.items()}
    return found


def _value(section: str, name: str, value: Any) -> Any:
    now = VALUES.get((section, name), {})
    return now.get(value, value) if isinstance(value, str) else value
