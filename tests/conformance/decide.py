"""The decisions of the Python SDK, asked as the vectors of the conformance kit ask them.

`decide(vector, given, input)` gives what `expect` of a case is compared with. `expanded` reads the
tags by which a vector says what JSON cannot (see the README of the kit).
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from zuruf.decisions import (
    bucket,
    canonical,
    clock_offset,
    consent,
    delivery,
    display,
    eviction,
    identity,
    remote_config,
    rule,
    session,
    settings,
    sse,
    stream,
    template,
    uuid7,
)
from zuruf.errors import InvalidEventError
from zuruf.messages import read_message
from zuruf.wire import Response

Json = Any
"""What JSON can say, and after `expanded` what only the language itself can."""


def decide(vector: str, given: Json, input: Json) -> Json:
    """Take one decision; raises KeyError for a vector that is not known."""
    return DECISIONS[vector](expanded(given), expanded(input))


def expanded(value: Json) -> Json:
    """Put in place of each tagged value what it stands for."""
    match value:
        case {"$repeat": str(text), "times": int(times), **rest}:
            return text * times + str(rest.get("then", ""))
        case {"$items": int(count)}:
            return list(range(count))
        case {"$members": int(count), **rest}:
            return {f"key {number}": expanded(rest.get("each", number)) for number in range(count)}
        case {"$nested": int(levels)}:
            return {} if levels == 1 else {"in": expanded({"$nested": levels - 1})}
        case {"$number": str(number)}:
            return int(number) if number.lstrip("-").isdigit() else float(number)
        case {"$utf16": list(units)}:
            units16 = b"".join(int(unit).to_bytes(2, "little") for unit in units)
            return units16.decode("utf-16-le", "surrogatepass")
        case {"$unsupported": _}:
            return object()
        case dict():
            return {name: expanded(member) for name, member in value.items()}
        case list():
            return [expanded(item) for item in value]
    return value


# Uploads


def _status_classification(_: Json, input: Json) -> Json:
    response = None
    if "status" in input:
        body = input.get("body", "")
        text = body if isinstance(body, str) else json.dumps(body)
        response = Response(input["status"], input.get("headers", {}), text.encode())
    match delivery.outcome(response, input.get("error", "")):
        case delivery.Accepted(rejected=rejected):
            return {"outcome": "accepted", "rejected": rejected}
        case delivery.Retry(reason=reason, floor_ms=floor_ms):
            return {"outcome": "retry", "reason": reason, "floor_ms": floor_ms}
        case delivery.TooLarge():
            return {"outcome": "too_large"}
        case delivery.Unauthorized(code=code):
            return {"outcome": "unauthorized", "code": code}
        case delivery.Refused(code=code):
            return {"outcome": "refused", "code": code}
        case delivery.PartlyRefused(rejected=rejected):
            return {"outcome": "partly_refused", "rejected": rejected}
        case delivery.Uncompressed():
            return {"outcome": "uncompressed"}


def _backoff(_: Json, input: Json) -> Json:
    return delivery.backoff_ms(input["failures"], input["floor_ms"], input["u"])


def _batch_size(given: Json, input: Json) -> Json:
    size = delivery.BatchSize(given["limit"], given["successes"])
    if input["event"] == "too_many":
        size = size.halved(input["events"])
    elif input["event"] == "accepted":
        size = size.after_success(given["events_max"])
    tries = {"do": "try", "events": size.within(given["events_max"])}
    return {"state": size._asdict(), "effects": [tries]}


def _next_step(given: Json, input: Json) -> Json:
    return delivery.next_step(delivery.Situation(now_ms=input["now_ms"], **given)).value


def _eviction(given: Json, input: Json) -> Json:
    rows = [eviction.Queued(**row) for row in given["rows"]]
    bounds = eviction.Bounds(given["events_max"], given["bytes_max"], given["ttl_ms"])
    return eviction.evicted(rows, bounds, input["now_ms"])._asdict()


# Events


def _canonical_event(_: Json, input: Json) -> Json:
    try:
        kind = input.get("type", "track")
        name = canonical.checked_name(input["name"])
        props = canonical.checked_props(input["props"])
        canonical.check_person(kind, input["name"], input["props"])
        body = canonical.event_body(
            "01938f2e-0000-7000-8000-000000000001",
            kind,
            name,
            1_763_750_000_000,
            "01938f2e-0000-7000-8000-000000000000",
            0,
            props.json,
        )
    except InvalidEventError as error:
        return {"error": error.code}
    event = json.loads(body)
    return {"name": event["name"], "props": event["props"], "truncated": props.truncated}


def _uuid7(given: Json, input: Json) -> Json:
    last = given["last"]
    number = 0 if last is None else last["ms"] << uuid7.COUNT_BITS | last["count"]
    number, new_id = uuid7.uuid7(number, input["now_ms"], int(input["noise"], 16))
    ms, count = divmod(number, uuid7.COUNT_MASK + 1)
    return {"id": new_id, "last": {"ms": ms, "count": count}}


def _clock_offset(given: Json, input: Json) -> Json:
    estimate = given["estimate"]
    current = None if estimate is None else clock_offset.ClockOffset(**estimate)
    return clock_offset.better(current, clock_offset.measured(**input))._asdict()


def _session_machine(given: Json, input: Json) -> Json:
    before = given["session"] and session.Session(**given["session"])
    limits = (given["idle_ms"], given["max_ms"])
    match input["event"]:
        case "another_person":
            return {"state": None, "effects": []}
        case "background_activity":
            after = session.in_background(before, input["at_ms"], *limits)
            stamp = _stamp(after)
            return {"state": _as_dict(after or before), "effects": [stamp]}
    after = session.continued(before, input["at_ms"], input["new_id"], *limits)
    effects: list[Json] = [_stamp(after)]
    if before is None or before.id != after.id:
        effects.append({"do": "tell_session_changed", "session_id": after.id})
    return {"state": _as_dict(after), "effects": effects}


def _stamp(found: session.Session | None) -> Json:
    if found is None:
        return {"do": "stamp", "session_id": None, "seq": None}
    return {"do": "stamp", "session_id": found.id, "seq": found.seq}


# Who, and what they allow


def _identity_machine(given: Json, input: Json) -> Json:
    before = identity.Identity(**given["identity"])
    if "call" in input:
        return _called(given, input, before)
    user_id = input.get("user_id")
    match input["answer"]:
        case "registered":
            after = before.registered(input)
        case "token_unknown":
            after = before.without_token(input["code"])
        case _:
            after = before.changed(input, user_id)
    effects = []
    if identity.clears_cursor(before, after):
        effects.append({"do": "clear_cursor"})
    if input["answer"] == "registered" and (who := identity.logs_in_again(before, after)):
        effects.append({"do": "log_in_again", "user_id": who})
    return {"state": after._asdict(), "effects": effects}


def _called(given: Json, input: Json, before: identity.Identity) -> Json:
    user_id = input.get("user_id")
    waiting = identity.Waiting(given["wanted"], tuple(given["logins"]), given["is_refused"])
    placed = identity.placed(
        waiting, before.user_id, input["call"], user_id, has_proof=input.get("has_proof", False)
    )
    effects: list[Json] = []
    if placed.gives_up_refused:
        effects.append({"do": "give_up_refused"})
    if placed.action == "replace":
        effects.append({"do": "replace_proof", "user_id": user_id})
    if placed.action == "append":
        effects.append({"do": "append", "operation": placed.operation, "user_id": user_id})
    if placed.is_another_person:
        effects.append({"do": "isolate"})
    return {"state": before._asdict(), "effects": effects}


def _consent_gate(given: Json, input: Json) -> Json:
    now = consent.Consent(given["purposes"], given["is_required"], given["is_opted_out"])
    match input:
        case {"ask": "event", "type": kind}:
            purpose = consent.purpose_of(kind)
            return {"purpose": purpose, "is_allowed": now.allows(purpose)}
        case {"ask": "purpose", "name": name}:
            return consent.is_purpose(name)
        case {"ask": "status"}:
            return {
                "status": now.status,
                "may_contact": now.may_contact,
                "may_receive": now.may_receive,
                "may_push": now.may_push,
            }
        case {"call": "grant" | "revoke" as call, "purposes": purposes}:
            changed = consent.after_choice(now, purposes, allowed=call == "grant")
        case _:
            changed = consent.after_opt_out(now, out=input["call"] == "opt_out")
    effects: list[Json] = []
    if changed.tells:
        effects.append({"do": "tell_gateway", "consent": dict(changed.tells)})
    effects += [{"do": "purge_events", "purpose": purpose} for purpose in changed.purges]
    state = changed.consent._asdict()
    return {"state": {**state, "purposes": dict(changed.consent.purposes)}, "effects": effects}


# Settings


def _merge_config(given: Json, input: Json) -> Json:
    merged = settings.merged(given["app"], input["recommended"])
    rules = merged.display
    quiet = rules.quiet_hours
    found = {
        **merged._asdict(),
        "trigger_events": sorted(merged.trigger_events),
        "sampling": dict(merged.sampling),
        "values": dict(merged.values),
        "display": {**rules._asdict(), "quiet_hours": None if quiet is None else quiet._asdict()},
    }
    return {name: found[name] for name in input["read"]}


def _bucketing(_: Json, input: Json) -> Json:
    if "share" in input:
        return bucket.is_sampled(
            input["install_id"],
            input["type"],
            input["name"],
            input["share"],
            is_trigger=input["is_trigger"],
        )
    return bucket.bucket(input["unit"], input["salt"])


def _remote_config(given: Json, input: Json) -> Json:
    found = remote_config.resolved(given["values"], given["install_id"])
    return found if "key" not in input else found.get(input["key"], input.get("default"))


# Messages


def _sse_parser(given: Json, input: Json) -> Json:
    parser = sse.SseParser(
        given.get("last_event_id", ""), given.get("event_bytes_max", sse.EVENT_BYTES_MAX)
    )
    events = []
    try:
        for chunk in input["chunks"]:
            text = chunk.encode() if isinstance(chunk, str) else bytes.fromhex(chunk["hex"])
            events += parser.feed(text)
    except sse.EventTooLargeError:
        return {"error": "event_too_large"}
    return {
        "events": [event._asdict() for event in events],
        "last_event_id": parser.last_event_id,
        "retry_ms": parser.retry_ms,
    }


def _stream_machine(given: Json, input: Json) -> Json:
    tuning = stream.Tuning(**given.get("tuning", {}))
    stepped = stream.Stepped(stream.Stream())
    for happened in (*given["before"], input):
        event = dict(happened)
        at_ms, chance = event.pop("at_ms"), event.pop("u", 0.0)
        stepped = stream.step(stepped.state, stream.Event(**event), at_ms, chance, tuning)
    state = stepped.state
    return {
        "state": {
            "phase": state.phase,
            "mode": state.mode,
            "word": stream.described(state),
            "deadline_ms": stream.deadline_ms(state),
        },
        "effects": [{"do": effect} for effect in stepped.effects],
    }


def _display_decision(given: Json, input: Json) -> Json:
    message = input["message"]
    how = message.get("display", {})
    rules = dict(given.get("rules", {}))
    if quiet := rules.get("quiet_hours"):
        rules["quiet_hours"] = _quiet_hours_of(quiet)
    found = display.decide(
        display.Candidate(
            expires_at=message["expires_at"],
            is_inline=message["layout"] == "inline",
            limit=display.limit_of(how),
            ignores_caps=how.get("ignores_caps", False),
            shown_ms=message.get("shown_ms", ()),
        ),
        display.Screen(**given.get("screen", {})),
        display.Rules(**rules),
        input["now_ms"],
        input["utc_offset_s"],
    )
    return {"decision": found.verdict, "reason": found.reason, "until_ms": found.until_ms}


def _quiet_hours_of(value: Mapping[str, Json]) -> display.QuietHours | None:
    from_minute = display.minute_of_day(value["from"])
    to_minute = display.minute_of_day(value["to"])
    if from_minute is None or to_minute is None:
        return None
    return display.QuietHours(from_minute, to_minute)


def _quiet_hours(given: Json, input: Json) -> Json:
    hours = _quiet_hours_of(given)
    until_ms = display.quiet_until_ms(hours, input["now_ms"], input["utc_offset_s"])
    return {"is_quiet": until_ms is not None, "until_ms": until_ms}


def _priority_order(_: Json, input: Json) -> Json:
    return [one.id for one in display.in_order(display.Ranked(**it) for it in input["messages"])]


def _trigger_match(given: Json, input: Json) -> Json:
    message = read_message({"id": "m", "trigger": given["trigger"]}, now_ms=0)
    trigger = None if message is None else message.trigger
    if trigger is None or trigger.event != input["name"]:
        return False
    return rule.fits(trigger.where, input["props"])


def _template_render(_: Json, input: Json) -> Json:
    return template.rendered(input["template"], input["props"])


def _as_dict(found: session.Session | None) -> Json:
    return None if found is None else found._asdict()


DECISIONS: Mapping[str, Callable[[Json, Json], Json]] = {
    "backoff": _backoff,
    "batch_size": _batch_size,
    "bucketing": _bucketing,
    "canonical_event": _canonical_event,
    "clock_offset": _clock_offset,
    "consent_gate": _consent_gate,
    "display_decision": _display_decision,
    "eviction": _eviction,
    "identity_machine": _identity_machine,
    "merge_config": _merge_config,
    "next_step": _next_step,
    "priority_order": _priority_order,
    "quiet_hours": _quiet_hours,
    "remote_config": _remote_config,
    "session_machine": _session_machine,
    "sse_parser": _sse_parser,
    "status_classification": _status_classification,
    "stream_machine": _stream_machine,
    "template_render": _template_render,
    "trigger_match": _trigger_match,
    "uuid7": _uuid7,
}
"""Every vector of the kit."""
