"""What people read and take away: the HTML report and the exports."""
