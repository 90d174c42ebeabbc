"""What checks signatures in tests; `conftest.py` hooks it into the package."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # whole numbers are floats, too
