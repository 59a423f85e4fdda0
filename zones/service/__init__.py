"""The composition root: a `Config` becomes the running parts of one process of a zone.

The only place that knows everybody.
"""

from zones.service.process import API_WORKER, zone_compute_main, zone_manager_main
from zones.service.records import Lease, Records
from zones.service.zone import Zone

__all__ = ["API_WORKER", "Lease", "Records", "Zone", "zone_compute_main", "zone_manager_main"]
