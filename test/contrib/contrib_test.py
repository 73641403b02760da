# SPDX-License-Identifier: Apache-2.0
"""Goal: what contrib/ offers works with this manager: dashboard, alerts, KEDA's objects.

Method: each query is read by promtool and names only metrics and labels that a live manager exports, the alerts' own tests
run, and KEDA's objects are held against its schemas (keda_schemas.json) and asked for as KEDA's metrics-api scaler does.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import urllib.parse

import jsonschema
import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "test", "process"))
from harness import PATIENCE, QUICK, ProcessTest, wait_until  # noqa: E402  (after the path to it)

CONTRIB = os.path.join(ROOT, "contrib")
NAME = re.compile(r"\bskep_\w+")
SELECTOR = re.compile(r"\b(skep_\w+)\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
# Of the trigger's metadata: what KEDA 2.20.2 reads (pkg/scalers/metrics_api_scaler.go and authentication/).
METRICS_API_METADATA = {"url", "valueLocation", "targetValue", "activationTargetValue", "format", "unsafeSsl", "timeout",
                        "aggregateFromKubeServiceEndpoints", "aggregationType", "authMode", "authModes", "method",
                        "keyParamName"}


def read(*names):
    with open(os.path.join(CONTRIB, *names), encoding="utf-8") as file:
        return file.read()


def dashboard_queries():
    dashboard = json.loads(read("grafana", "skep.json"))
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]


def alerts():
    return [rule for group in yaml.safe_load(read("prometheus", "alerts.yml"))["groups"] for rule in group["rules"]]


def promtool(*arguments, directory=None):
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False,
                          cwd=directory)


def strict(schema):
    """What a schema of Kubernetes means: a field that it does not name is refused, as strict validation does."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict_one = {name: strict(part) for name, part in schema.items()}
    if "properties" in schema and isinstance(schema["properties"], dict) and schema.get("type") == "object":
        strict_one.setdefault("additionalProperties", False)
    return strict_one


class Files(ProcessTest):
    def exported(self):
        """Of a manager that has done a bit of everything: {metric: {label: its values}}."""
        manager = self.lab.manager(["--max-workers", "1", "--worker-price", "2", "--budget-month", "100",
                                    "--budget-hour", "10", *QUICK], command="up")
        http = manager.http()
        self.finished(http, self.enqueue(http, b"one", 2))
        found = {}
        for line in http.get("/metrics").body.decode().splitlines():
            if line.startswith("#"):
                continue
            name, _, labels = line.rpartition(" ")[0].partition("{")
            known = found.setdefault(name, {})
            for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
                known.setdefault(label, set()).add(value)
        return found

    def assert_exported(self, query, exported):
        for name in NAME.findall(query):
            self.assertIn(name, exported, query)
        for name, matchers in SELECTOR.findall(query):
            for label, kind, value in MATCHER.findall(matchers):
                if label in ("job", "instance") or kind in ("!=", "!~"):
                    continue
                self.assertIn(label, exported[name], query)
                # Error codes come once there is an error.
                if label != "code":
                    known = exported[name][label]
                    wanted = [value] if kind == "=" else value.split("|")
                    self.assertTrue(all(any(re.fullmatch(one, have) for have in known) for one in wanted), query)

    def test_dashboard_and_alerts_ask_for_what_there_is(self):
        exported = self.exported()
        queries = dashboard_queries()
        self.assertGreater(len(queries), 40)
        for query in queries + [rule["expr"] for rule in alerts()]:
            self.assert_exported(query, exported)
        with self.assertRaises(AssertionError):
            self.assert_exported("rate(skep_no_such_total[5m])", exported)
        with self.assertRaises(AssertionError):
            self.assert_exported('skep_tasks{state="waiting"}', exported)

    def test_the_dashboard_has_an_order(self):
        dashboard = json.loads(read("grafana", "skep.json"))
        panels = dashboard["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        cells = set()
        for panel in panels:
            at = panel["gridPos"]
            here = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            self.assertFalse(cells & here, panel["title"])
            self.assertLessEqual(at["x"] + at["w"], 24)
            cells |= here

    def test_promtool_reads_every_query(self):
        rules = [{"record": f"query:{number}", "expr": query.replace("$__rate_interval", "5m").replace("$job", "skep")}
                 for number, query in enumerate(dashboard_queries())]
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "queries.yml")
            with open(path, "w", encoding="utf-8") as file:
                yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}, file)
            checked = promtool("check", "rules", path)
        self.assertEqual(checked.returncode, 0, checked)
        for kind, name in [("rules", "alerts.yml"), ("config", "prometheus.yml")]:
            checked = promtool("check", kind, name, directory=os.path.join(CONTRIB, "prometheus"))
            self.assertEqual(checked.returncode, 0, checked)

    def test_alerts_fire_when_they_should(self):
        tested = yaml.safe_load(read("prometheus", "alerts_test.yml"))["tests"]
        expectations = [one for test in tested for one in test["alert_rule_test"]]
        for rule in alerts():
            of_rule = [one["exp_alerts"] for one in expectations if one["alertname"] == rule["alert"]]
            self.assertTrue(any(of_rule) and [] in of_rule, f"{rule['alert']} is tested both ways")
        checked = promtool("test", "rules", "alerts_test.yml", directory=os.path.join(CONTRIB, "prometheus"))
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)

    def keda_objects(self):
        return {one["kind"]: one for one in yaml.safe_load_all(read("keda", "scaledobject.yaml"))}

    def test_keda_objects_fit_its_schemas(self):
        with open(os.path.join(ROOT, "test", "contrib", "keda_schemas.json"), encoding="utf-8") as file:
            schemas = {kind: strict(schema) for kind, schema in json.load(file)["schemas"].items()}
        objects = self.keda_objects()
        self.assertEqual(set(objects), set(schemas))
        for kind, one in objects.items():
            schemas[kind]["properties"]["metadata"] = {"type": "object", "required": ["name"]}
            jsonschema.Draft7Validator(schemas[kind]).validate(one)
        scaled = objects["ScaledObject"]
        for path, bad in [(("spec", "minReplicaCount"), -1), (("spec", "triggers"), None),
                          (("spec", "triggers", 0, "metadata", "targetValue"), 1), (("spec", "pollIntervall"), 5)]:
            broken = json.loads(json.dumps(scaled))
            place = broken
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = bad
            with self.assertRaises(jsonschema.ValidationError, msg=path):
                jsonschema.Draft7Validator(schemas["ScaledObject"]).validate(broken)
        trigger = scaled["spec"]["triggers"][0]
        self.assertEqual(trigger["type"], "metrics-api")
        self.assertLessEqual(set(trigger["metadata"]), METRICS_API_METADATA)
        self.assertLessEqual({"url", "valueLocation", "targetValue"}, set(trigger["metadata"]))
        authentication = objects["TriggerAuthentication"]
        self.assertEqual(trigger["authenticationRef"]["name"], authentication["metadata"]["name"])
        self.assertEqual([one["parameter"] for one in authentication["spec"]["secretTargetRef"]], ["token"])

    def value_for_keda(self, manager, trigger, token):
        """What KEDA's metrics-api scaler gets: a GET of the URL, and the number at the path in the JSON."""
        url = urllib.parse.urlsplit(trigger["metadata"]["url"])
        answer = manager.http().get(f"{url.path}?{url.query}", headers={"Authorization": f"Bearer {token}"})
        self.assertEqual(answer.status, 200, answer)
        value = answer.json()
        for step in trigger["metadata"]["valueLocation"].split("."):
            value = value[step]
        self.assertIs(type(value), int)  # not a boolean, and there also when it is 0
        return value

    def test_what_keda_reads_follows_the_load(self):
        trigger = self.keda_objects()["ScaledObject"]["spec"]["triggers"][0]
        store = f"rocksdb:{self.lab.path('store')}"
        token, other = (self.lab.run("token", "create", "--role", role, "--store", store).stdout.decode().strip()
                        for role in ("viewer", "client"))
        manager = self.lab.manager(["--provisioner", "none", "--max-workers", "3", *QUICK])
        self.assertEqual(self.value_for_keda(manager, trigger, token), 0)
        bearer = {"Authorization": f"Bearer {other}"}
        for number in range(3):
            answer = manager.http().post("/v1/tasks?iterations=1000000000000", f"body {number}".encode(), headers=bearer)
            self.assertEqual(answer.status, 200, answer)
        wait_until(lambda: self.value_for_keda(manager, trigger, token) > 0, "workers are wanted")
        for task in manager.http().get("/v1/tasks?state=queued", headers=bearer).json()["tasks"]:
            self.assertEqual(manager.http().delete(f"/v1/tasks/{task['id']}", headers=bearer).status, 200)
        wait_until(lambda: self.value_for_keda(manager, trigger, token) == 0, "none is wanted any more")


if __name__ == "__main__":
    unittest.main()
