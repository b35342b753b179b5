"""Consumer sensors, read by what others found out, without a maker's word: not for critical points."""

not_for_ccp = True
"""Nobody answers for these formats, and the sensors have no certificate: no critical control point rests on one."""
