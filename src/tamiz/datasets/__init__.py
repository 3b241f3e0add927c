"""Question files, read as a stream: CSV, TSV, JSON Lines and Parquet, each also compressed with gzip."""

from tamiz.datasets.columns import NoSuchColumn, parse_columns
from tamiz.datasets.dataset import Dataset, open_dataset
from tamiz.datasets.rows import BadRow, Row

__all__ = ["BadRow", "Dataset", "NoSuchColumn", "Row", "open_dataset", "parse_columns"]
