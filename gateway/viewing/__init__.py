"""What people look at: trends, charts, histories and printed reports, read beside the path of the values."""
