"""The report of a study or a run: one HTML file that opens offline."""

from tunewright.reports.build import write_report
from tunewright.reports.data import ReportData

__all__ = ["ReportData", "write_report"]
