"""What tests share and is no test: the command line in a process, faults, browsers, README sessions."""
