"""From nothing to a trained, attested model: `python -m hack.demo up`; `down` removes it again."""
