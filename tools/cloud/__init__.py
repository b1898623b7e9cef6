"""A local cloud: thethings.io's and RainMaker's APIs, as far as linking a board goes, on loopback.

`LocalCloud` runs in any asyncio loop; `homing cloud` runs it on its own. It plays clouds that the
project has only read about; what is modelled without a source is marked UNCONFIRMED in the code.
"""

from .server import LocalCloud

__all__ = ["LocalCloud"]
