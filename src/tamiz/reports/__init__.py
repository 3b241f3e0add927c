"""Reports: one HTML page with plots, tables and what they show, from a state file, an experiment or a traffic run."""

from tamiz.reports.write import write_report

__all__ = ["write_report"]
