"""Why a server went where it went, or nowhere: kept as codes and numbers, put into words when read."""

from typing import Any

import orjson

from zones.scheduler.place import EXAMPLES, EXPLAINED, Decision, Rejection

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
}

Explanation = dict[str, Any]
"""`{hosts, passed, need{vcpus, ram, disk}, chosen, maybe, top[{host, weight, weights{}}], rejected{code:
{count, examples[{host, …numbers}]}}}`: a JSON-able value of at most `LARGEST` bytes."""


def explain(decision: Decision, chosen: str | None) -> Explanation:
    """What to store with the attempt at the host `chosen`; None: it went nowhere."""
    for examples in range(EXAMPLES, -1, -1):
        for top in (EXPLAINED, 1):
            found = _explanation(decision, chosen, top, examples)
            if len(orjson.dumps(found)) <= LARGEST:
                return found
    found["top"] = []
    while len(orjson.dumps(found)) > LARGEST:
        found["rejected"].popitem()
    return found


def _explanation(decision: Decision, chosen: str | None, top: int, examples: int) -> Explanation:
    return {
        "hosts": decision.considered, "passed": decision.passed, "need": decision.need._asdict(),
        "chosen": chosen,
        "maybe": any(one.target == chosen for one in decision.maybes),
        "top": [{"host": one.target, "weight": round(one.weight, 4),
                 "weights": {name[:_WORD]: round(weight, 4) for name, weight in one.weights.items()}}
                for one in decision.ranked[:top]],
        "rejected": {reason[:_WORD]: _rejection(one, examples) for reason, one in decision.rejected.items()},
    }


def _rejection(rejection: Rejection, examples: int) -> dict[str, Any]:
    return {"count": rejection.count, "examples": [
        {key[:_WORD]: value[:2 * _WORD] if isinstance(value, str) and key != "host" else value
         for key, value in example.items()} for example in rejection.examples[:examples]]}


def render(explanation: Explanation) -> str:
    """An explanation in plain words."""
    hosts = explanation.get("hosts", 0)
    reasons = [_reason(code, rejection, hosts)
               for code, rejection in explanation.get("rejected", {}).items()]
    why = "; ".join(reasons)
    chosen = explanation.get("chosen")
    if chosen:
        return f"{_placed(explanation, chosen)}{f' Not considered: {why}.' if why else ''}"
    if not hosts:
        return "No valid host: no compute host has reported to this zone."
    if explanation.get("passed"):
        others = f" The others: {why}." if why else ""
        return f"{explanation['passed']} of {hosts} hosts could hold it.{others}"
    return f"No valid host: {why}."


def _placed(explanation: Explanation, chosen: str) -> str:
    if explanation.get("maybe"):
        return f"Asked {chosen}, although by its last report it has no room."
    top = explanation.get("top", [])
    mine = next((one for one in top if one["host"] == chosen), None)
    if mine is None:
        return f"Placed on {chosen}, one of {explanation['passed']} that could hold it."
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in mine["weights"].items())
    rest = ", ".join(f"{one['host']} ({one['weight']:.2f})" for one in top if one["host"] != chosen)
    return (f"Placed on {chosen} with weight {mine['weight']:.2f}{f' ({weights})' if weights else ''}, "
            f"one of {explanation['passed']} that could hold it"
            f"{f'; next: {rest}' if rest else ''}.")


def _reason(code: str, rejection: dict[str, Any], hosts: int) -> str:
    count, examples = rejection["count"], rejection["examples"]
    of_all = f"{count} of {hosts} host{'s' if hosts != 1 else ''}"
    if code in _ROOM:
        verb = "has" if count == 1 else "have"
        need = f"need {examples[0]['need']} {_UNITS[code]}; " if examples else ""
        shown = ", ".join(f"{one['host']} has {max(0, one['free'])} free" + (
            f" of only {one['total']}" if one["total"] < one["need"] else "") for one in examples)
        return f"{of_all} {verb} {_ROOM[code]}" + (f" ({need}{shown})" if examples else "")
    one_host, many = _REASONS.get(code, (f"is rejected by {code}", f"are rejected by {code}"))
    wanted = next((f"wanted {_wanted(one)}; " for one in examples if "wanted" in one), "")
    shown = wanted + ", ".join(text for text in map(_example, examples) if text)
    return f"{of_all} {one_host if count == 1 else many}" + (f" ({shown})" if shown else "")


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
