"""The package: what it needs, the commands that it installs, and the drivers that it brings."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (HERE / "zones/__init__.py").read_text(), re.MULTILINE)[1]

REQUIRES = [
    "eventlet>=0.41,<0.42",
    "kombu>=5.5,<6",
    "SQLAlchemy>=2.0.30,<3",
    "alembic>=1.13,<2",
    "psycopg2-binary>=2.9.9,<3",
    "WebOb>=1.8.9,<2",
    "legacy-cgi>=2.6; python_version>='3.13'",
    "python-novaclient>=18.6",
    "keystoneauth1>=5.8",
    "urllib3>=2.2,<3",
    "boto3>=1.35,<2",
    "oslo.config>=9.6",
    "oslo.policy>=4.4",
    "PyYAML>=6.0",
    "cryptography>=43",
    "argon2-cffi>=23.1",
    "orjson>=3.10,<4",
    "msgspec>=0.19",
    "fastjsonschema>=2.20,<3",
    "google-re2>=1.1.20240702",
    "numpy>=2.0,<3",
    "stevedore>=5.3",
    "prometheus-client>=0.21",
    "rich>=13.9",
]

setup(
    name="zones",
    version=VERSION,
    description="One OpenStack Compute endpoint over every cloud that one has",
    python_requires=">=3.11",
    packages=find_packages(include=["zones", "zones.*"]),
    package_data={"zones": ["py.typed"], "zones.db": ["migrations/script.py.mako"]},
    zip_safe=False,
    install_requires=REQUIRES,
    extras_require={
        "test": [
            "pytest>=8.3",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
            "hypothesis>=6.115",
            "gabbi>=3.0",
            "moto[server]>=5.0",
            "python-openstackclient>=7.1",
        ],
        "lint": ["ruff>=0.8", "mypy>=1.13", "import-linter>=2.1", "types-PyYAML"],
    },
    # zone-manager and zone-compute must patch before anything else is imported, which a generated
    # console script can't: their own files in bin/ are what is installed.
    scripts=["bin/zone-manager", "bin/zone-compute", "bin/zone-admin"],
    entry_points={
        "console_scripts": ["zone-simulated = zones.compute.simulated_cli:main"],
        "novaclient.extension": ["zones = zones.cli.nova"],
        "openstack.cli.extension": ["zones = zones.cli.openstack"],
        "openstack.zones.v2": [f"compute_zone_{name} = zones.cli.openstack_zones:{name.title()}" for name in (
            "list", "show", "create", "set", "delete", "cordon", "uncordon", "drain", "info", "tree")],
        "zones.drivers": [
            "simulated = zones.compute.simulated:SimulatedDriver",
            "ec2 = zones.compute.ec2.driver:Ec2Driver",
        ],
    },
)
