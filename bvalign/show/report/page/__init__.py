"""The pages of reports: words, tables, galleries and templates."""
