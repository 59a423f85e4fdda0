"""A whole endpoint on SQLite for the API tests, with everything real but the compute side."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry

from zones.api.app import Endpoint, make_app
from zones.api.identity.parts import Parts as IdentityParts
from zones.api.image.parts import Parts as ImageParts
from zones.api.policy import Policy
from zones.db.engine import Database, here
from zones.db.identity import IdentityStore
from zones.db.image import ImageRows
from zones.db.tables import metadata
from zones.identity.bootstrap import EmbeddedIdentity, bootstrap, embedded_identity
from zones.image import embedded
from zones.image.embedded import EmbeddedImages
from zones.image.files import Files

T = TypeVar("T")
PASSWORD = "admin-password"


@dataclass
class Zone:
    """What a test may reach into."""

    app: Endpoint
    db: Database
    identity: EmbeddedIdentity
    images: EmbeddedImages
    rows: ImageRows
    wrong: dict[str, str]

    def close(self) -> None:
        """Give back the database."""
        self.db.close()


def make_zone(folder: Path, db: Database | None = None, *, compute: Any = None,
              max_size: int = 2**20) -> Zone:
    """An endpoint whose admin has `PASSWORD`, with users `member`, `reader`, and `compute` (a service).

    `db` has all tables; without one it is a fresh SQLite file in `folder`.
    """
    if db is None:
        db = Database(f"sqlite:///{folder / 'zone.sqlite'}", lane=here)
        metadata.create_all(db.engine)
    identity = embedded_identity(IdentityStore(db), folder, here, token_ttl=3600)
    bootstrap(identity.directory, PASSWORD)
    for role in ("member", "reader"):
        identity.directory.ensure_user(role, f"{role}-password", f"{role}-project", [role])
    identity.directory.ensure_user("compute", "compute-password", "service", ["service"])
    rows = ImageRows(db)
    images = EmbeddedImages(rows, Files(folder / "images", here, max_size=max_size, keep_free=0))
    admin = identity.directory.rows("project", {"name": "admin"})[0]
    embedded.bootstrap(images, admin["id"])
    wrong = {"database": ""}
    no_compute = SimpleNamespace(db=db, core=SimpleNamespace(zone_uuid=""))
    app = make_app(compute or no_compute, IdentityParts(identity), ImageParts(images, rows),
                   backend=identity.tokens, policy=Policy(), checks=lambda: wrong,
                   metrics=CollectorRegistry())
    return Zone(app, db, identity, images, rows, wrong)
