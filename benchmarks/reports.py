"""Host reports as compute services send them."""

from zones.protocol import HostReport


def report(number: int, seq: int) -> HostReport:
    """The report of one host of 10,000, each with values of its own; about 1 KiB on the wire."""
    return HostReport(
        service=f"compute-{number % 20}", host=f"rack-{number % 200}-host-{number}", boot=3, seq=seq,
        availability_zone=f"az{number % 3}", vcpus=64, ram=262144, disk=4000,
        vcpus_used=(number + seq) % 64, ram_used=(number + seq) % 64 * 2048, disk_used=number % 50 * 20,
        servers=(number + seq) % 40, hypervisor="kvm", building=seq % 3, failed_builds=0,
        capabilities={"hypervisor": ["kvm", "qemu"], "gpu": ["a100", "v100"], "arch": ["x86_64"],
                      "traits": [f"HW_CPU_X86_FEATURE_{bit}" for bit in range(16)],
                      "rack": [f"rack-{number % 200}"], "nic": ["10g", "25g"]},
        live={"load1": number % 17 / 10, "load5": 0.5, "temperature": 41.5, "power_watts": 310 + number % 40},
        unsupported=["rescue", "set_password", "unrescue"], interval=20.0)
