"""The interactive part of pages: scatter, filters and one sample."""
