"""Commands that find and show what is unusual: detect, report, evaluate."""
