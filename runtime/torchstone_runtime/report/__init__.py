"""An evaluation shown to people and programs: terminal, JSON, CSV, HTML."""
