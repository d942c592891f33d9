"""Which contract this release speaks; `major.minor`, minor only adds optional fields."""

from typing import Final

CONTRACT_VERSION: Final = "1.0"
SPOKEN_MAJORS: Final = (1,)
CARD_SCHEMA: Final = "citygate.card/1.0"
