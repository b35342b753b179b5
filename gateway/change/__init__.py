"""Changes of the site file while the gateway runs: edited, checked, shown, applied, recorded, rolled back.

Nothing of this is loaded before the first change.
"""
