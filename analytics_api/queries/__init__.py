"""Questions about what is in the events: measures, filters, breakdowns, funnels, retention, exports."""
