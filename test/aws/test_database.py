# SPDX-License-Identifier: Apache-2.0
"""Goal: managers that share a database, one of their own or one that `skep aws up` makes at RDS, and what is left of it after.

Method: the fault server, whose databases' address is that of a real PostgreSQL with TLS, in which it makes the user and the
password that were asked for; that one tells who is connected, and how.
"""
import json
import unittest

from deploying import DeployTest, made_by, steps
import postgres
from harness import reference, wait_until

# On volumes a manager has one more.
WITHOUT_VOLUMES = {**made_by(2), "volumes": 2}


@unittest.skipIf(postgres.why_not(), postgres.why_not())
class Database(DeployTest):
    def setUp(self):
        super().setUp()
        self.postgres = postgres.Postgres(self.lab, user="admin", has_tls=True)

    def connections(self):
        """Those of managers: whether each is encrypted, by users' names."""
        rows = self.postgres.ask("SELECT DISTINCT usename, ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
                                 "WHERE usename <> 'admin'", "postgres")
        return set(rows.splitlines())

    def task(self, manager, body):
        """A task that is done; its id."""
        http, client = self.http(manager), self.headers("client")
        task = http.post("/v1/tasks?iterations=3", body, headers=client).json()["id"]
        done = http.get(f"/v1/tasks/{task}?wait=60s", headers=client).json()
        self.assertEqual(done["state"], "done", done)
        return task

    def result(self, manager, task):
        return self.http(manager).get(f"/v1/tasks/{task}/result", headers=self.headers("client")).body.decode()

    def test_one_that_is_made_at_rds_is_kept_unless_its_data_shall_go(self):
        with open(self.postgres.authority, encoding="ascii") as file:
            authorities = file.read()
        self.server.control("POST", "database", {"host": "localhost", "port": self.postgres.port, "socket": self.postgres.directory,
                                                 "superuser": "admin", "authorities": authorities})
        self.server.control("POST", "settings", {"database_seconds": 150})
        for operation in ("CreateDBInstance", "CreateDBSubnetGroup"):
            self.server.fault("error", operation=operation, code="InternalFailure", status=500, count=1, after=True)
        made = self.skep("up", "--wait", "--store", "rds")
        notes = [line["note"] for line in made if "note" in line]
        told = [note for note in notes if note.startswith("skep-prod is")]
        self.assertEqual(told[0], "skep-prod is creating")
        self.assertIn(told[-1], ("skep-prod is backing-up", "skep-prod is available"))
        everything = {**WITHOUT_VOLUMES, "parameters": 8, "security_groups": 2, "databases": 1, "subnet_groups": 1}
        self.counts(**everything)
        managers = made[-1]["managers"]
        task = self.task(managers[0], b"into the database")
        self.assertEqual(self.result(managers[1], task), reference(b"into the database", 3))
        self.assertEqual(self.connections(), {"skep|t"})
        self.is_made_as_it_should_be()
        self.keeps_its_password(made)
        self.tells_status()
        self.assertEqual(steps(self.skep("up", "--store", "rds")), [])
        self.goes(managers, task)

    def is_made_as_it_should_be(self):
        asked = self.requests("CreateDBInstance")[0]["params"]
        for name, value in {"MultiAZ": True, "StorageEncrypted": True, "DeletionProtection": True, "PubliclyAccessible": False,
                            "CopyTagsToSnapshot": True, "Engine": "postgres", "EngineVersion": "15", "AllocatedStorage": 20,
                            "BackupRetentionPeriod": 7, "Tags": [{"Key": "skep:cluster", "Value": "prod"}]}.items():
            self.assertEqual(asked[name], value, name)
        group, = asked["VpcSecurityGroupIds"]
        ingress = self.server.state("security_groups")[group]["ingress"]
        self.assertEqual(len(ingress), 1)
        self.assertIn(group, ingress[0])
        self.assertIn("5432", ingress[0])
        described = self.server.client("ec2").describe_instances()["Reservations"]
        for one in [one for reservation in described for one in reservation["Instances"] if one["State"]["Name"] == "running"]:
            role = next(tag["Value"] for tag in one["Tags"] if tag["Key"] == "skep:role")
            groups = [member["GroupId"] for member in one["SecurityGroups"]]
            self.assertEqual(group in groups, role == "manager", "managers reach it, and nobody else")

    def keeps_its_password(self, made):
        parameters = self.server.state("parameters")
        values = self.server.client("ssm").get_parameters(
            Names=["/skep/prod/manager/store", "/skep/prod/manager/database-password"], WithDecryption=True)["Parameters"]
        values = {one["Name"].rpartition("/")[2]: one["Value"] for one in values}
        password = values["database-password"]
        self.assertGreaterEqual(len(password), 32)
        self.assertIn(f":{password}@localhost:{self.postgres.port}/skep?sslmode=verify-full&", values["store"])
        for name in ("store", "database-password"):
            self.assertEqual(parameters[f"/skep/prod/manager/{name}"]["kind"], "SecureString")
        texts = [json.dumps(made), self.consoles()]
        for ident in self.server.state("instances"):
            attribute = self.server.client("ec2").describe_instance_attribute(InstanceId=ident, Attribute="userData")
            texts.append(attribute["UserData"]["Value"])
        self.assertFalse(any(password in text for text in texts))

    def tells_status(self):
        told = self.skep("status")[0]
        self.assertEqual(told["problems"], [])
        self.assertEqual(told["database"], {"id": "skep-prod", "status": "available", "type": "db.m6g.large", "size_gib": 20,
                                            "is_in_two_zones": True, "address": f"localhost:{self.postgres.port}"})
        costs = {one["what"]: one["dollars_hour"] for one in told["costs"]}
        self.assertGreater(costs["db.m6g.large in two zones, database"], 0.2)
        self.assertGreater(costs["20 GiB of the database"], 0)

    def goes(self, managers, task):
        kept = self.skep("down")
        self.assertEqual([line["note"].split(":")[0] for line in kept if "is kept" in line.get("note", "")], [
            "database skep-prod has data and is kept, with its subnet group, its security group and the parameter with its password"])
        self.counts(databases=1, subnet_groups=1, security_groups=1, parameters=1)
        again = self.skep("up", "--wait", "--store", "rds")
        self.assertNotIn("create database skep-prod", steps(again))
        managers = again[-1]["managers"]
        self.assertEqual(self.result(managers[0], task), reference(b"into the database", 3))
        self.task(managers[1], b"and more")
        gone = self.skep("down", "--delete-data")
        snapshot, = self.server.state("snapshots")
        self.assertTrue(any(f"delete-db-snapshot --db-snapshot-identifier {snapshot} " in line.get("note", "") for line in gone))
        self.assertEqual(self.server.state("snapshots")[snapshot]["tags"], {"skep:cluster": "prod"})
        self.counts(snapshots=1)

    def test_one_that_is_there_is_used_and_left(self):
        self.postgres.ask("CREATE ROLE shared LOGIN PASSWORD 'of-shared'", "postgres")
        self.postgres.ask("CREATE DATABASE shared OWNER shared", "postgres")
        url = f"postgres://shared:of-shared@localhost:{self.postgres.port}/shared?sslmode=require"
        made = self.skep("up", "--wait", "--store", url)
        self.counts(**{**WITHOUT_VOLUMES, "parameters": 7})
        managers = made[-1]["managers"]
        self.computes(managers[1], b"into a database")
        self.assertEqual(self.connections(), {"shared|t"})
        self.assertEqual(self.postgres.ask("SELECT count(*) FROM skep.members", "shared"), "2")
        self.assertNotIn("of-shared", json.dumps(made) + self.consoles())
        told = self.skep("status")[0]
        self.assertEqual((told["problems"], told["volumes"], told["database"]), ([], [], None))
        # A manager that is gone for good: the other one has all of it, and the next `up` makes another.
        task = self.task(managers[0], b"before")
        self.server.control("POST", f"instances/{managers[0]['instance']}", {"action": "vanish"})
        self.assertIn("skep-prod-manager-1 does not run", " ".join(self.skep("status", code=1)[0]["problems"]))
        wait_until(lambda: self.result(managers[1], task) == reference(b"before", 3), "its sibling has its results")
        self.assertEqual(steps(self.skep("up", "--wait", "--store", url))[0], "launch manager skep-prod-manager-1")
        self.skep("down")
        self.counts()
        self.assertEqual(self.postgres.ask("SELECT count(*) FROM skep.tasks WHERE state = 'done'", "shared"), "2")


if __name__ == "__main__":
    unittest.main()
