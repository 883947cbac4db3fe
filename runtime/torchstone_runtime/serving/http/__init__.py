"""HTTP around the serving core: routes, limits, logs, metrics, and a process that starts and stops well."""
