"""What exists in the lakehouse: one module per artifact, in the order data flows. No codec and no model code here."""
