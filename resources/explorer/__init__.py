"""What the explorer asks of a lake: one moment of its tables, clips by filters, and spans of videos."""
