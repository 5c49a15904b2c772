"""The transports of a loop's connections that are not wholly native."""
