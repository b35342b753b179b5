"""Past data judged by the code that judges live."""
