"""Barcode and QR scanners: what a scanned line says."""
