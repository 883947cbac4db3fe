"""The machine below: processor features, container limits, driver, and what a measurement says of where it ran."""
