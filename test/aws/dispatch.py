# SPDX-License-Identifier: Apache-2.0
"""dispatch.py - one request to AWS: whose it is, whether it is sound, what goes wrong with it, and its answer.

The order is that of the real thing: signature, model, throttling, permission, operation. Faults come between: those
that keep a call from being carried out before it, those that keep the caller from learning of it after it.

Threads: answer() takes the world's lock where it needs it; slow answers wait without it.
"""
import os
import signal
import threading
import uuid

import ec2_catalogue  # noqa: F401  (importing a module registers its operations)
import ec2_launch  # noqa: F401
import ec2_tags  # noqa: F401
import policy
import quotas  # noqa: F401
import rds  # noqa: F401
import read_request
import s3  # noqa: F401
import signature
import ssm  # noqa: F401
import sts  # noqa: F401
from answer import Dropped, HttpAnswer, ServiceError, Violation
from ec2_instances import Instances
from iam import Iam
from model import Service
from registry import HANDLERS
from write_answer import write, write_error

# Name in the credential scope -> name of the model.
SERVICES = {"ec2": "ec2", "iam": "iam", "sts": "sts", "ssm": "ssm", "s3": "s3", "rds": "rds", "servicequotas": "service-quotas"}
# Signed for us-east-1; for the region too by clients that were given an endpoint.
GLOBAL = {"iam", "sts"}
UNSIGNED = {"AssumeRoleWithWebIdentity"}
REQUESTS_KEPT = 20000


class Caller:
    def __init__(self, service, operation, credential):
        self.service = service
        self.operation = operation
        self.credential = credential


class Dispatch:
    def __init__(self, world):
        self.world = world
        self._services = {}
        self._never = threading.Event()

    def service(self, name):
        if name not in self._services:
            self._services[name] = Service(name)
        return self._services[name]

    def answer(self, request):
        """The HTTP answer; raises Dropped where there is to be none."""
        request_id = str(uuid.uuid4())
        protocol, record = "query", {}
        try:
            with self.world.lock:
                scope, service = self._scope(request)
                protocol = service.protocol
                record = {"service": service.name, "status": 200, "region": scope and scope.region}
                operation, caller, params = self._read(request, scope, service, record)
            self._before(operation.name)
            with self.world.lock:
                output = self._carry_out(caller, params)
                answer = write(service, operation, output, request_id)
            self._after(operation.name)
        except ServiceError as error:
            if isinstance(error, Violation):
                self.world.violations.append({**record, "code": error.code, "message": error.message})
            record.update(status=error.status, code=error.code)
            answer = write_error(protocol, error, request_id)
        except Dropped:
            record.update(status=0, code="dropped")
            raise
        finally:
            self._remember(record)
        if request.method == "HEAD" and answer.status >= 400:
            answer = HttpAnswer(answer.status, b"", answer.headers)
        return answer

    def _remember(self, record):
        self.world.requests.append(record)
        if len(self.world.requests) > REQUESTS_KEPT:
            del self.world.requests[:REQUESTS_KEPT // 2]

    def _scope(self, request):
        text = request.headers.get("authorization")
        if text is None:
            if request.method == "POST" and b"Action=AssumeRoleWithWebIdentity" in request.body:
                return None, self.service("sts")
            raise ServiceError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
        scope = signature.Scope(text)
        if scope.service not in SERVICES:
            raise Violation("SignatureDoesNotMatch", f"there is no service '{scope.service}' here", 403)
        wanted = {self.world.region, "us-east-1"} if scope.service in GLOBAL else {self.world.region}
        if scope.region not in wanted:
            raise Violation("SignatureDoesNotMatch", "Credential should be scoped to a valid region, not "
                            f"'{scope.region}'.", 403)
        return scope, self.service(SERVICES[scope.service])

    def _read(self, request, scope, service, record):
        credential = None
        if scope is not None:
            credential = self.world.credentials.get(scope.key)
            signature.verify(request, scope, service.protocol, credential, self.world.clock.wall())
        operation, params = read_request.read(service, request)
        record["operation"] = operation.name
        record["params"] = {name: value for name, value in params.items() if not isinstance(value, bytes)}
        if scope is None and operation.name not in UNSIGNED:
            raise ServiceError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
        if (service.name, operation.name) not in HANDLERS:
            raise ServiceError("NotImplemented", f"this server does not know {service.name} {operation.name}", 501)
        if self.world.faults.hit("expired_token", operation=operation.name):
            code = signature.names_of(service.name, service.protocol)[3]
            raise ServiceError(code, "The security token included in the request is expired", 403)
        return operation, Caller(service.name, operation.name, credential), params

    def _before(self, name):
        with self.world.lock:
            slow = self.world.faults.hit("slow", operation=name)
        if slow:
            self._never.wait(slow.get("seconds", 1.0))
        self._strike(name, False)

    def _after(self, name):
        self._strike(name, True)

    def _strike(self, name, is_after):
        with self.world.lock:
            faults = self.world.faults
            kill = faults.hit("kill", operation=name, after=is_after)
            if kill:
                os.kill(kill["pid"], signal.SIGKILL)
                raise Dropped()
            if faults.hit("drop", operation=name, after=is_after):
                raise Dropped()
            rule = faults.hit("error", operation=name, after=is_after)
        if rule:
            raise ServiceError(rule.get("code", "InternalError"), rule.get("message", "An internal error has occurred"),
                               rule.get("status", 500))

    def _carry_out(self, caller, params):
        world = self.world
        if caller.service == "ec2":
            world.service(Instances).advance()
            world.throttle.check(caller.operation, params, world.now, world.setting("throttle"))
        if caller.credential is not None and caller.credential.role:
            roles = world.service(Iam).roles
            if caller.credential.role in roles and caller.operation != "GetCallerIdentity":
                policy.check(world, roles[caller.credential.role], caller, params)
        if params.get("DryRun") and caller.operation not in ("RunInstances", "CreateFleet"):
            raise ServiceError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
        return HANDLERS[caller.service, caller.operation](world, params, caller)
