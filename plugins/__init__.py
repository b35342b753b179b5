"""Outputs, reports and extra decoders that the member chooses; they import gateway.api alone."""
