"""Why a server went where it went, or nowhere: kept as codes and numbers, put into words when read."""

from collections.abc import Mapping
from typing import Any

import orjson

from zones.scheduler.place import EXAMPLES, EXPLAINED, Candidate, Decision, Rejection

LARGEST = 4096
"""Bytes of an explanation as JSON, at most."""
_WORD = 64
_UNITS = {"ram": "MiB", "vcpus": "vCPUs", "disk": "GiB"}
_ROOM = {"ram": "too little RAM", "vcpus": "too few vCPUs", "disk": "too little disk"}
_REASONS = {
    "silent": ("was not heard lately", "were not heard lately"),
    "disabled": ("is disabled", "are disabled"),
    "tried": ("refused this server before", "refused this server before"),
    "not_the_host": ("is not the host that was asked for", "are not the host that was asked for"),
    "availability_zone": ("is in another availability zone", "are in another availability zone"),
    "capability": ("lacks what the flavor asks for", "lack what the flavor asks for"),
    "zone_capability": ("lacks what the hint zone_capabilities asks for",
                        "lack what the hint zone_capabilities asks for"),
    "same_host": ("does not hold the servers of the hint same_host",
                  "do not hold the servers of the hint same_host"),
    "different_host": ("holds a server of the hint different_host",
                       "hold a server of the hint different_host"),
    "affinity": ("is not where the server group is", "are not where the server group is"),
    "anti_affinity": ("holds as many members of the server group as it may",
                      "hold as many members of the server group as they may"),
    "refused_lately": ("just refused a server of this shape", "just refused a server of this shape"),
    "zone": ("is not in the zone that was asked for", "are not in the zone that was asked for"),
}
_OF_ZONES = {
    "zone_inactive": ("is inactive", "are inactive"),
    "zone_cordoned": ("takes no new servers", "take no new servers"),
    "zone_silent": ("has sent no summary lately", "have sent no summary lately"),
    "loop": ("has sent the server here itself", "have sent the server here themselves"),
    "hops": ("is too far: the server has passed through as many zones as it may",
             "are too far: the server has passed through as many zones as it may"),
    "excluded": ("refused this server before", "refused this server before"),
    "availability_zone": ("is not, and does not have, the availability zone",
                          "are not, and do not have, the availability zone"),
    "capability": ("offers nothing of what the flavor asks for", "offer nothing of what the flavor asks for"),
    "zone_capabilities": ("offers nothing of what the hint zone_capabilities asks for",
                          "offer nothing of what the hint zone_capabilities asks for"),
    "zone": ("is not, and does not lead to, the zone that was asked for",
             "are not, and do not lead to, the zone that was asked for"),
    "room": ("has no room for it by its last summary", "have no room for it by their last summaries"),
    "refused_lately": _REASONS["refused_lately"],
    "group": _REASONS["affinity"],
    "same_host": _REASONS["same_host"],
    "local_zone_only": ("is left out by the hint local_zone_only",
                        "are left out by the hint local_zone_only"),
    "forced_host": ("is left out because a host was asked for by name",
                    "are left out because a host was asked for by name"),
}

Explanation = dict[str, Any]
"""`{hosts, passed, need{vcpus, ram, disk}, chosen, maybe, top[{host, weight, weights{}}], rejected{code:
{count, examples[{host, …numbers}]}}}`: a JSON-able value of at most `LARGEST` bytes.

Where there are links it has `zones{considered, passed, top, rejected}`, too, alike but with the names of
links for `host`; and where the chosen one is a link, `kind` "link" and `zone`, its name.
"""


def explain(decision: Decision, chosen: str | None) -> Explanation:
    """What to store with the attempt at `chosen`, a host or a zone's UUID; None: it went nowhere."""
    for examples in range(EXAMPLES, -1, -1):
        for top in (EXPLAINED, 1):
            found = _explanation(decision, chosen, top, examples)
            if len(orjson.dumps(found)) <= LARGEST:
                return found
    parts = [found, found["zones"]] if "zones" in found else [found]
    for part in parts:
        part["top"] = []
    while len(orjson.dumps(found)) > LARGEST:
        max(parts, key=lambda part: len(part["rejected"]))["rejected"].popitem()
    return found


def _explanation(decision: Decision, chosen: str | None, top: int, examples: int) -> Explanation:
    found = {
        "hosts": decision.considered, "passed": decision.passed, "need": decision.need._asdict(),
        "chosen": chosen,
        "maybe": any(one.target == chosen for one in decision.maybes),
        "top": _top(decision, top), "rejected": _rejections(decision, examples),
    }
    links = decision.links
    if links is not None:
        found["zones"] = {"considered": links.considered, "passed": links.passed,
                          "top": _top(links, top), "rejected": _rejections(links, examples)}
        link = next((one for one in (*links.ranked, *links.maybes) if one.target == chosen), None)
        if link is not None:
            found |= {"kind": "link", "zone": link.name[:_WORD], "maybe": link in links.maybes}
    return found


def _top(decision: Decision, most: int) -> list[dict[str, Any]]:
    return [{"host": _name(one), "weight": round(one.weight, 4),
             "weights": {name[:_WORD]: round(weight, 4) for name, weight in one.weights.items()}}
            for one in decision.ranked[:most]]


def _name(one: Candidate) -> str:
    return one.name[:_WORD] if one.kind == "link" else one.target


def _rejections(decision: Decision, examples: int) -> dict[str, Any]:
    return {reason[:_WORD]: _rejection(one, examples) for reason, one in decision.rejected.items()}


def _rejection(rejection: Rejection, examples: int) -> dict[str, Any]:
    return {"count": rejection.count, "examples": [
        {key[:_WORD]: value[:2 * _WORD] if isinstance(value, str) and key != "host" else value
         for key, value in example.items()} for example in rejection.examples[:examples]]}


def render(explanation: Explanation) -> str:
    """An explanation in plain words."""
    hosts, zones = explanation.get("hosts", 0), explanation.get("zones") or {}
    reasons = [_reason(code, rejection, hosts)
               for code, rejection in explanation.get("rejected", {}).items()]
    reasons += [_zone_reason(code, rejection, zones["considered"])
                for code, rejection in zones.get("rejected", {}).items()]
    why = "; ".join(reasons)
    chosen = explanation.get("chosen")
    if chosen:
        placed = _sent if explanation.get("kind") == "link" else _placed
        return f"{placed(explanation, chosen)}{f' Not considered: {why}.' if why else ''}"
    if not hosts and not zones:
        return "No valid host: no compute host has reported to this zone."
    could = [f"{part['passed']} of {count} {noun} could hold it." for part, count, noun in (
        (explanation, hosts, "hosts"), (zones, zones.get("considered"), "zones")) if part.get("passed")]
    if could:
        others = f" The others: {why}." if why else ""
        return f"{' '.join(could)}{others}"
    return f"No valid host: {why}."


def _placed(explanation: Explanation, chosen: str) -> str:
    if explanation.get("maybe"):
        return f"Asked {chosen}, although by its last report it has no room."
    return _with_weight(f"Placed on {chosen}", chosen, explanation, "hold it")


def _sent(explanation: Explanation, chosen: str) -> str:
    name = explanation.get("zone") or chosen
    if explanation.get("maybe"):
        return f"Asked zone {name}, although it is not known to have room."
    return _with_weight(f"Sent to zone {name}", name, explanation["zones"], "take it")


def _with_weight(done: str, chosen: str, part: Mapping[str, Any], could: str) -> str:
    """`part`: the hosts' part of an explanation, or that of the zones."""
    top = part.get("top", [])
    mine = next((one for one in top if one["host"] == chosen), None)
    if mine is None:
        return f"{done}, one of {part['passed']} that could {could}."
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in mine["weights"].items())
    rest = ", ".join(f"{one['host']} ({one['weight']:.2f})" for one in top if one["host"] != chosen)
    return (f"{done} with weight {mine['weight']:.2f}{f' ({weights})' if weights else ''}, "
            f"one of {part['passed']} that could {could}"
            f"{f'; next: {rest}' if rest else ''}.")


def _zone_reason(code: str, rejection: dict[str, Any], zones: int) -> str:
    """Why one or several of the linked zones were left out."""
    count, examples = rejection["count"], rejection["examples"]
    one, many = _OF_ZONES.get(code, (f"is rejected by {code}", f"are rejected by {code}"))
    names = ", ".join(str(example["host"]) for example in examples)
    shown = [str(examples[0][key]) if key == "error" else f"wanted {examples[0][key]}"
             for key in ("wanted", "error") if examples and key in examples[0]]
    if count == 1:
        who = f"zone {names}{f' (of {zones})' if zones > 1 else ''}" if names else f"1 of {zones} zones"
        return f"{who} {one}" + (f" ({', '.join(shown)})" if shown else "")
    shown += [names + (", …" if count > len(examples) else "")] if names else []
    return f"{count} of {zones} zones {many}" + (f" ({'; '.join(shown)})" if shown else "")


def _reason(code: str, rejection: dict[str, Any], hosts: int) -> str:
    count, examples = rejection["count"], rejection["examples"]
    of_all = f"{count} of {hosts} host{'s' if hosts != 1 else ''}"
    if code in _ROOM:
        return f"{of_all} {_lacks_room(code, count, examples)}"
    one_host, many = _REASONS.get(code, (f"is rejected by {code}", f"are rejected by {code}"))
    wanted = next((f"wanted {_wanted(one)}; " for one in examples if "wanted" in one), "")
    shown = wanted + ", ".join(text for text in map(_example, examples) if text)
    return f"{of_all} {one_host if count == 1 else many}" + (f" ({shown})" if shown else "")


def _lacks_room(code: str, count: int, examples: list[dict[str, Any]]) -> str:
    verb = "has" if count == 1 else "have"
    need = f"need {examples[0]['need']} {_UNITS[code]}; " if examples else ""
    shown = ", ".join(f"{one['host']} has {max(0, one['free'])} free" + (
        f" of only {one['total']}" if one["total"] < one["need"] else "") for one in examples)
    return f"{verb} {_ROOM[code]}" + (f" ({need}{shown})" if examples else "")


def _wanted(example: dict[str, Any]) -> str:
    key = example.get("key")
    return f"{key}={example['wanted']}" if key else str(example["wanted"])


def _example(example: dict[str, Any]) -> str:
    host = example.get("host", "")
    if "error" in example:
        return str(example["error"])
    if "key" in example:
        return f"{host} has {example['has'] or 'none'}"
    if "has" in example and "wanted" in example:
        return f"{host} is in {example['has']}"
    if "has" in example and "most" in example:
        return f"{host} has {example['has']} of at most {example['most']}"
    return str(host)
