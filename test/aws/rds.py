# SPDX-License-Identifier: Apache-2.0
"""rds.py - databases that take their time, and the subnet groups that they lie in.

The server runs no database of its own: what `POST /_control/database` names is what is found at the address of all of them.
A PostgreSQL that it can reach by a socket gets the user, the password and the database that were asked for; the
authorities that certificates are of are served in place of AWS's (TRUST).

Threads: under the server's lock. Units: instants of the virtual clock.
"""
import subprocess

from answer import HttpAnswer, ServiceError
from ec2_network import Network
from registry import operation, tag_list

# Where machines are led that ask https://truststore.pki.rds.amazonaws.com.
TRUST = "/_truststore"
BACKUP_SHARE = 0.2  # of the time that a database takes to come, at the end of it


class Database:
    def __init__(self, world, params):
        self.name = params["DBInstanceIdentifier"]
        self.params = params
        self.tags = {tag["Key"]: tag["Value"] for tag in params.get("Tags", [])}
        self.resource = "db-" + world.ident("x")[2:].upper().replace("-", "")
        self.created = world.now
        seconds = world.setting("database_seconds")
        self.there_at = world.later(seconds * (1 - BACKUP_SHARE))
        self.ready_at = world.later(seconds)
        self.changed_at = self.created  # what was modified counts from then on
        self.gone_at = None

    def status(self, now):
        if self.gone_at:
            return "deleting"
        if self.there_at > now:
            return "creating"
        if self.ready_at > now:
            return "backing-up"
        return "modifying" if self.changed_at > now else "available"


class Rds:
    def __init__(self, world):
        self.world = world
        self.databases = {}
        self.subnet_groups = {}
        self.snapshots = {}
        self.endpoint = ("127.0.0.1", 5432)
        self.socket = None  # of a PostgreSQL, as psql is told of it
        self.authorities = ""

    def find(self, name):
        found = self.databases.get(name)
        if found and found.gone_at and found.gone_at <= self.world.now:
            del self.databases[name]
            found = None
        if found is None:
            raise ServiceError("DBInstanceNotFound", f"DBInstance {name} not found.", 404)
        return found

    def group(self, name):
        if name not in self.subnet_groups:
            raise ServiceError("DBSubnetGroupNotFoundFault", f"DB subnet group '{name}' does not exist.", 404)
        return self.subnet_groups[name]

    def living(self):
        return [one for one in self.databases.values() if one.gone_at is None or one.gone_at > self.world.now]

    def group_is_used(self, ident):
        return any(ident in one.params.get("VpcSecurityGroupIds", []) for one in self.living())

    def point(self, data):
        """Where databases are from now on: what the control interface was told."""
        self.endpoint = (data["host"], int(data["port"]))
        self.socket = data.get("socket") and ["-h", data["socket"], "-p", str(data["port"]), "-U", data["superuser"]]
        self.authorities = data.get("authorities", "")

    def prepare(self, params):
        """Makes in the PostgreSQL behind the address what a database was asked to have."""
        if not self.socket:
            return
        user, password, name = params["MasterUsername"], params["MasterUserPassword"], params["DBName"]
        for sql in (f"CREATE ROLE {user} LOGIN CREATEROLE CREATEDB PASSWORD '{password}'", f"CREATE DATABASE {name} OWNER {user}"):
            subprocess.run(["psql", *self.socket, "-d", "postgres", "-Xqc", sql], check=True, capture_output=True, timeout=30)


def truststore(world, request):
    """The authorities of a region, as the host with AWS's has them."""
    if request.method != "GET" or request.path != f"{TRUST}/{world.region}/{world.region}-bundle.pem":
        return HttpAnswer(404, "there is no such bundle")
    return HttpAnswer(200, world.service(Rds).authorities)


def _shown(world, database):
    params, rds = database.params, world.service(Rds)
    status = database.status(world.now)
    made = {"DBInstanceIdentifier": database.name, "DBInstanceClass": params["DBInstanceClass"], "Engine": params["Engine"],
            "EngineVersion": params.get("EngineVersion", "15.8"), "DBInstanceStatus": status, "InstanceCreateTime": database.created,
            "MasterUsername": params.get("MasterUsername"), "DBName": params.get("DBName"),
            "AllocatedStorage": params.get("AllocatedStorage", 20), "MultiAZ": params.get("MultiAZ", False),
            "StorageEncrypted": params.get("StorageEncrypted", False), "DeletionProtection": params.get("DeletionProtection", False),
            "PubliclyAccessible": params.get("PubliclyAccessible", False),
            "BackupRetentionPeriod": params.get("BackupRetentionPeriod", 1),
            "DbiResourceId": database.resource, "DBInstanceArn": world.arn("rds", "db:" + database.name),
            "TagList": tag_list(database.tags),
            "VpcSecurityGroups": [{"VpcSecurityGroupId": ident, "Status": "active"}
                                  for ident in params.get("VpcSecurityGroupIds", [])]}
    if params.get("DBSubnetGroupName"):
        made["DBSubnetGroup"] = {"DBSubnetGroupName": params["DBSubnetGroupName"], "VpcId": world.service(Network).vpc}
    if status not in ("creating", "deleting"):
        made["Endpoint"] = {"Address": rds.endpoint[0], "Port": rds.endpoint[1], "HostedZoneId": "Z1RLNUO7B9Q6NB"}
    return made


@operation("rds", "CreateDBInstance")
def create_database(world, params, caller):
    rds, name = world.service(Rds), params["DBInstanceIdentifier"]
    try:
        rds.find(name)
    except ServiceError:
        pass
    else:
        raise ServiceError("DBInstanceAlreadyExists", "DB instance already exists", 400)
    for needed in ("MasterUsername", "AllocatedStorage"):
        if needed not in params:
            raise ServiceError("InvalidParameterCombination", f"The parameter {needed} must be provided", 400)
    password = params.get("MasterUserPassword", "")
    if not 8 <= len(password) <= 128 or set(password) & set('/@" '):
        raise ServiceError("InvalidParameterValue", "The parameter MasterUserPassword is not a valid password.", 400)
    if "--" in name or name.endswith("-") or not name[0].isalpha():
        raise ServiceError("InvalidParameterValue", "The parameter DBInstanceIdentifier is not a valid identifier.", 400)
    if params.get("StorageType") == "gp3" and params["AllocatedStorage"] < 20:
        raise ServiceError("InvalidParameterValue", "Invalid storage size for engine name postgres and storage type gp3", 400)
    if params.get("DBSubnetGroupName"):
        rds.group(params["DBSubnetGroupName"])
    for ident in params.get("VpcSecurityGroupIds", []):
        world.service(Network).group(ident)
    rds.prepare(params)
    rds.databases[name] = Database(world, params)
    return {"DBInstance": _shown(world, rds.databases[name])}


@operation("rds", "DescribeDBInstances")
def describe_databases(world, params, caller):
    rds, wanted = world.service(Rds), params.get("DBInstanceIdentifier")
    if wanted:
        return {"DBInstances": [_shown(world, rds.find(wanted))]}
    found = []
    for name in sorted(rds.databases):
        try:
            found.append(_shown(world, rds.find(name)))
        except ServiceError:
            continue
    return {"DBInstances": found}


@operation("rds", "DeleteDBInstance")
def delete_database(world, params, caller):
    database = world.service(Rds).find(params["DBInstanceIdentifier"])
    if not params.get("SkipFinalSnapshot") and not params.get("FinalDBSnapshotIdentifier"):
        raise ServiceError("InvalidParameterCombination", "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is "
                           "specified.", 400)
    if database.params.get("DeletionProtection"):
        raise ServiceError("InvalidParameterCombination", "Cannot delete protected DB Instance, please disable deletion "
                           "protection and try again.", 400)
    if database.status(world.now) != "available":
        raise ServiceError("InvalidDBInstanceState", f"Instance {database.name} is {database.status(world.now)}.", 400)
    snapshot = params.get("FinalDBSnapshotIdentifier")
    if snapshot:
        rds = world.service(Rds)
        if snapshot in rds.snapshots:
            raise ServiceError("DBSnapshotAlreadyExists", f"Cannot create the snapshot because {snapshot} exists.", 400)
        rds.snapshots[snapshot] = database.tags if database.params.get("CopyTagsToSnapshot") else {}
    database.gone_at = world.later(world.setting("database_seconds"))
    return {"DBInstance": _shown(world, database)}


@operation("rds", "ModifyDBInstance")
def modify_database(world, params, caller):
    database = world.service(Rds).find(params["DBInstanceIdentifier"])
    if database.status(world.now) not in ("available", "backing-up", "modifying"):
        raise ServiceError("InvalidDBInstanceState", f"Database instance is not in available state: {database.name}.", 400)
    database.params = {**database.params, **params}
    database.changed_at = world.later(world.faults.delay("volume_seconds"))
    return {"DBInstance": _shown(world, database)}


def _shown_group(world, name, params):
    network = world.service(Network)
    return {"DBSubnetGroupName": name, "DBSubnetGroupDescription": params["DBSubnetGroupDescription"], "VpcId": network.vpc,
            "SubnetGroupStatus": "Complete", "DBSubnetGroupArn": world.arn("rds", "subgrp:" + name),
            "Subnets": [{"SubnetIdentifier": ident, "SubnetStatus": "Active", "SubnetAvailabilityZone": {
                "Name": network.subnets[ident].zone}} for ident in params["SubnetIds"]]}


@operation("rds", "CreateDBSubnetGroup")
def create_subnet_group(world, params, caller):
    rds, name = world.service(Rds), params["DBSubnetGroupName"].lower()
    if name in rds.subnet_groups:
        raise ServiceError("DBSubnetGroupAlreadyExists", f"The DB subnet group '{name}' already exists.", 400)
    zones = {world.service(Network).subnet(ident).zone for ident in params["SubnetIds"]}
    if len(zones) < 2:
        raise ServiceError("DBSubnetGroupDoesNotCoverEnoughAZs", "The DB subnet group doesn't meet Availability Zone (AZ) "
                           "coverage requirement. Add subnets to cover at least 2 AZs.", 400)
    rds.subnet_groups[name] = {**params, "tags": {tag["Key"]: tag["Value"] for tag in params.get("Tags", [])}}
    return {"DBSubnetGroup": _shown_group(world, name, params)}


@operation("rds", "DescribeDBSubnetGroups")
def describe_subnet_groups(world, params, caller):
    rds, wanted = world.service(Rds), params.get("DBSubnetGroupName")
    names = [wanted.lower()] if wanted else sorted(rds.subnet_groups)
    return {"DBSubnetGroups": [_shown_group(world, name, rds.group(name)) for name in names]}


@operation("rds", "DeleteDBSubnetGroup")
def delete_subnet_group(world, params, caller):
    rds, name = world.service(Rds), params["DBSubnetGroupName"].lower()
    rds.group(name)
    for database in rds.living():
        if database.params.get("DBSubnetGroupName", "").lower() == name:
            raise ServiceError("InvalidDBSubnetGroupStateFault", f"Cannot delete the subnet group '{name}' because at least one "
                               f"database instance: {database.name} is still using it.", 400)
    del rds.subnet_groups[name]
    return {}


@operation("rds", "ListTagsForResource", "AddTagsToResource")
def resource_tags(world, params, caller):
    kind, _, name = params["ResourceName"].split(":", 5)[5].partition(":")
    rds = world.service(Rds)
    tags = rds.find(name).tags if kind == "db" else rds.group(name)["tags"]
    tags.update({tag["Key"]: tag["Value"] for tag in params.get("Tags", [])})
    return {"TagList": tag_list(tags)} if caller.operation.startswith("List") else {}
