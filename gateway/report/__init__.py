"""HACCP records, lot passports and calibration registers: figures from the record, and their form for people.

First a pure model (`haccp`, `lots`, `calibrations`), then words in a language (`document`), then a page or a PDF of
those words, JSON or CSV of that model. Nothing here reads a file or a clock.
"""
