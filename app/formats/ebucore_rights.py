"""The rights of EBUCore: our own, those of others, and where or how an asset may not be used."""

from collections.abc import Mapping
from typing import Any

from app.formats.ebucore_names import DC, EBUCORE
from app.formats.timing import iso_duration
from app.formats.xml_tree import Element, add, add_filled

_Document = Mapping[str, Any]


def add_rights(core: Element, document: _Document) -> None:
    if document["rights"] is not None:
        _add_own(core, document["rights"])
    for each in document["third_party"]:
        issues = add(core, f"{EBUCORE}rights", attributes={"typeLabel": each["kind"]})
        add(issues, f"{EBUCORE}exploitationIssues", _third_party(each))
    for each in document["restrictions"]:
        _add_restriction(core, each)


def _add_own(core: Element, rights: _Document) -> None:
    general = add(core, f"{EBUCORE}rights", attributes={"typeLabel": "usageTerms"})
    add_filled(general, f"{DC}rights", rights["usage_terms"])
    add_filled(general, f"{EBUCORE}rightsLink", rights["license"])
    if rights["copyright_holder"]:
        holder = add(general, f"{EBUCORE}rightsHolder")
        organisation = add(holder, f"{EBUCORE}organisationDetails")
        add(organisation, f"{EBUCORE}organisationName", rights["copyright_holder"])
    add_filled(general, f"{EBUCORE}copyrightStatement", rights["copyright_notice"])
    for label, name in (("creditline", "credit_line"), ("dataMining", "data_mining")):
        if rights[name]:
            other = add(core, f"{EBUCORE}rights", attributes={"typeLabel": label})
            add(other, f"{DC}rights", rights[name])


def _third_party(right: _Document) -> str:
    """What is another's, whose, and from when to when in the asset."""
    owner = f" ({right['owner']})" if right["owner"] else ""
    times = [right[name] for name in ("start_ms", "end_ms")]
    span = "-".join(iso_duration(time) for time in times if time is not None)
    return f"{right['description']}{owner} {span}".strip()


def _add_restriction(core: Element, restriction: _Document) -> None:
    kind = restriction["kind"]
    label = {"typeLabel": f"{restriction['rule']}:{kind}", "note": restriction["note"]}
    rights = add(core, f"{EBUCORE}rights", attributes=label)
    add_filled(rights, f"{DC}rights", ", ".join(restriction["values"]))
    if restriction["from"] or restriction["to"]:
        period = {"startDate": restriction["from"], "endDate": restriction["to"]}
        temporal = add(add(rights, f"{EBUCORE}coverage"), f"{EBUCORE}temporal")
        add(temporal, f"{EBUCORE}PeriodOfTime", attributes=period)
    if kind == "geo":
        spatial = add(add(rights, f"{EBUCORE}coverage"), f"{EBUCORE}spatial")
        for country in restriction["values"]:
            add(add(spatial, f"{EBUCORE}location"), f"{EBUCORE}code", country)
