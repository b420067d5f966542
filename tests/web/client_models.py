"""The types of `device_client.api`, made from the description of the API.

python -m tests.web.client_models

writes device_client/api/models.py. A test compares; what is written is read by people, so names and order matter.
"""

from typing import Any

from coordinator.web import openapi
from tests.docs.routes import application
from tests.parts import ROOT

PATH = ROOT / "device_client/api/models.py"
WIDTH = 120
PLAIN = {"string": "str", "integer": "int", "boolean": "bool"}
# Objects that have no name in the description: (the one that they stand in, member) -> name.
NAMES = {
    ("Map", "cells"): "Cell",
    ("Network", "broker"): "Broker",
    ("EpochDetail", "reasons"): "ReasonCount",
    ("EpochDetail", "posted"): "Posted",
    ("Stub", "shares"): "Share",
    ("Stub", "changes"): "Change",
    ("Stub", "links"): "StubLinks",
    ("Earnings", "lifetime"): "Lifetime",
    ("Earnings", "provisional"): "Provisional",
    ("Provisional", "epochs"): "Estimate",
    ("Provisional", "month"): "Month",
}
ANSWERS = {
    "get_map": "Map",
    "get_rewards": "Days",
    "get_accounts_id": "Account",
    "get_devices_id_corrections": "DeviceCorrections",
    "get_devices_id_quarantines": "DeviceQuarantines",
    "delete_devices_id_readings": "Deleted",
    "get_log_consistency": "Consistency",
    "get_log_inclusion": "Inclusion",
    "post_owner": "Waiting",
    "post_texts": "Kept",
    "get_accounts_id_postings": "AccountPostings",
    "get_appeals": "Appeals",
    "get_devices": "Devices",
    "get_devices_id_payouts": "DevicePayouts",
    "get_devices_id_presence": "DevicePresence",
    "get_devices_id_readings": "Readings",
    "get_devices_id_statements": "Statements",
    "get_epochs": "Epochs",
    "get_epochs_n_payouts": "EpochPayouts",
    "get_epochs_n_postings": "EpochPostings",
    "get_owners": "Owners",
    "get_owners_id_corrections": "OwnerCorrections",
    "get_owners_id_rewards": "Rewards",
    "get_owners_id_settlements": "Settlements",
    "get_quarantines": "Quarantines",
    "get_search": "Found",
}
HEAD = '''"""What the API answers with, as types. Written by tests/web/client_models.py; do not edit.

Ids and hashes are lower-case hexadecimal text, amounts whole base units with their text in tokens beside them.
"""

from typing import NamedTuple
'''


def description() -> dict[str, Any]:
    """Of a server that has everything switched on."""
    return openapi.document(application())


def json_answer(one: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of an operation's answer, None where it is no JSON object."""
    for status, answer in one["responses"].items():
        schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
        if status < "300" and ("$ref" in schema or "properties" in schema):
            return dict(schema)
    return None


class Models:
    def __init__(self, made: dict[str, Any]) -> None:
        self.schemas: dict[str, Any] = made["components"]["schemas"]
        self.written: dict[str, str] = {}
        for of in made["paths"].values():
            for one in of.values():
                schema = json_answer(one)
                if schema is not None:
                    self.type_of(schema, ("", one["operationId"]))

    def type_of(self, schema: dict[str, Any], at: tuple[str, str]) -> str:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return self.named(name, self.schemas[name])
        if "anyOf" in schema:
            (one,) = [each for each in schema["anyOf"] if each != {"type": "null"}]
            return f"{self.type_of(one, at)} | None"
        if "enum" in schema:
            return "str"
        if schema["type"] == "array":
            if "prefixItems" in schema:
                return f"tuple[{', '.join(self.type_of(one, at) for one in schema['prefixItems'])}]"
            return f"list[{self.type_of(schema['items'], at)}]"
        if schema["type"] == "object":
            if "properties" not in schema:
                return f"dict[str, {self.type_of(schema['additionalProperties'], at)}]"
            return self.named(ANSWERS[at[1]] if not at[0] else NAMES[at], schema)
        return PLAIN[schema["type"]]

    def named(self, name: str, schema: dict[str, Any]) -> str:
        if name not in self.written:
            lines = []
            for member, of in schema["properties"].items():
                kind = self.type_of(of, (name, member))
                absent = member not in schema["required"]
                lines.append(f"    {member}: {kind}{' | None = None' if absent else ''}")
            self.written[name] = "\n".join([f"class {name}(NamedTuple):", *lines])
        return name


def text() -> str:
    return "\n\n\n".join([HEAD.rstrip(), *Models(description()).written.values()]) + "\n"


def main() -> None:
    PATH.write_text(text())


if __name__ == "__main__":
    main()
