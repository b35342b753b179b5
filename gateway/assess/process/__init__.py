"""Process calculations: lethality, cooling, growth and their like. Pure, streaming, the same live and on past data.

Nothing here reads a clock, a file of the user or a bus: numbers go in with their times, results come out. That is
why the configuration may ask this package which calculations and models exist, although stations do not otherwise
import each other.
"""
