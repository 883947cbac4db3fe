"""The studies and measurements behind the documentation; README.md says what lies where. No part of the wheel."""
