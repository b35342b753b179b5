"""Aurora Gateway: from sensor bus to signed, receipted batches."""

__version__ = "0.1.0"
