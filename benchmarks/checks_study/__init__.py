"""The certificate beside other checks of exports, on the same faulty files."""
