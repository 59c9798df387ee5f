"""Provider keys and access tokens: the only room that can open a key at rest."""
