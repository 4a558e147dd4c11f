"""What training cannot do, told without the libraries that it needs."""


class DatasetError(Exception):
    """A set is missing, or not the one whose checksum stands in SHA256SUMS; the text says which."""
