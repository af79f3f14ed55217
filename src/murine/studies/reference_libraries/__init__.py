"""References: the same numbers as others compute them, or as their definition says.

Each function takes a `TestData` and returns what murine computes and what the other does, as arrays of one shape. The
other library is imported inside, and used in the way its users would. `REFERENCES` has them all in one order.
"""

from murine.studies.reference_libraries import comparisons, dissimilarities, regression
from murine.studies.reference_libraries.definitions import HIMALAYA, TOOLBOX, ArrayPair, ReferenceMetric, TestData

#: Every reference, in the order of the table.
REFERENCES: tuple[ReferenceMetric, ...] = (
    *dissimilarities.REFERENCES,
    *comparisons.REFERENCES,
    *regression.REFERENCES,
)

__all__ = ["HIMALAYA", "REFERENCES", "TOOLBOX", "ArrayPair", "ReferenceMetric", "TestData"]
