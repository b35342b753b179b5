"""Handing on: what the cluster holds of a member, in the forms of the sector, to whom the member wants it given."""
