"""A provider that says what it is told to: Moonshot's dialect, no model behind it, no bill."""

from local.scripted.script import BadScript, Script
from local.scripted.server import Asked, ScriptedProvider

__all__ = ["Asked", "BadScript", "Script", "ScriptedProvider"]
