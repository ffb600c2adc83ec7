"""The commands: the only room that joins the others."""
