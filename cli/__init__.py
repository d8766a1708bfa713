"""The command line of eimf-local."""
