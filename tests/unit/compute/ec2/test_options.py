"""What the operator may say, and that anything else is refused by its name."""

from pathlib import Path

import pytest

from zones.compute.ec2.driver import Ec2Driver
from zones.compute.ec2.options import parse
from zones.errors import Invalid

PLAIN = {"region": "us-east-1"}


def test_the_region_alone_is_enough() -> None:
    options = parse(PLAIN)
    assert (options.access.region, options.default_image, options.limits.instances) == ("us-east-1", None, 20)
    assert options.wants_type("m5.large")


def test_everything_can_be_said(tmp_path: Path) -> None:
    prices = tmp_path / "prices"
    prices.write_text("# per hour\nt3.micro 0.0104\n\nt3.small  0.0208 # twice\n")
    options = parse(PLAIN | {
        "image": "ami-12345678", "image.cirros": "ami-87654321", "security_group.web": "sg-12345678",
        "prices": str(prices), "price.t3.small": "0.02", "zones": "us-east-1a; us-east-1b",
        "instance_types": "t3.*;m5.large", "subnets": "subnet-12345678", "max_vcpus": "8"})
    assert options.images == {"cirros": "ami-87654321"}
    assert options.prices == {"t3.micro": 0.0104, "t3.small": 0.02}
    assert options.zones == {"us-east-1a", "us-east-1b"} and options.limits.vcpus == 8
    assert [options.wants_type(name) for name in ("t3.large", "m5.large", "m5.xlarge")] == [True, True, False]


@pytest.mark.parametrize(("name", "text"), [
    ("region", ""), ("region", "moon"), ("endpoint_url", "ftp://x"), ("endpoint_url", "nowhere"),
    ("image", "cirros"), ("image.cirros", "x"), ("image.", "ami-12345678"), ("subnets", "a"),
    ("zones", " ; "),
    ("security_groups", "default"), ("max_instances", "-1"), ("max_vcpus", "many"), ("poll", "0"),
    ("patience", "nan"), ("price.t3.micro", "cheap"), ("price.t3.micro", "-1"), ("prices", "/nonexistent"),
    ("regions", "us-east-1"), ("access_key", "alone")])
def test_a_bad_option_is_refused_by_its_name(name: str, text: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse(PLAIN | {name: text})
    assert repr(name) in refused.value.message


def test_a_price_list_that_is_none_is_refused_with_its_line(tmp_path: Path) -> None:
    prices = tmp_path / "prices"
    prices.write_text("t3.micro 0.1\nt3.small\n")
    with pytest.raises(Invalid, match="line 2"):
        parse(PLAIN | {"prices": str(prices)})


def test_no_secret_is_shown() -> None:
    options = parse(PLAIN | {"access_key": "AKIDEXAMPLE", "secret_key": "wJalrXUtnFEMI"})
    assert "AKIDEXAMPLE" not in repr(options) and "wJalrXUtnFEMI" not in repr(options)


def test_a_profile_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="no-such-profile"):
        Ec2Driver(tmp_path, "aws", PLAIN | {"profile": "no-such-profile"})
