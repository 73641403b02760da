# SPDX-License-Identifier: Apache-2.0
"""quotas.py - Service Quotas: how many vCPUs the account may run.

Threads: under the server's lock.
"""
from answer import ServiceError
from registry import operation

QUOTAS = {"L-1216C47A": ("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", "vcpus_on_demand"),
          "L-34B43A08": ("All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", "vcpus_spot"),
          "L-DB2E81BA": ("Running On-Demand G and VT instances", "vcpus_g_on_demand"),
          "L-3819A6DF": ("All G and VT Spot Instance Requests", "vcpus_g_spot")}


def setting_of(kind, market):
    """The name of the setting that limits a type in a market."""
    return f"vcpus_{'g_' if kind[0] == 'g' else ''}{'spot' if market == 'spot' else 'on_demand'}"


def _shown(world, code):
    name, setting = QUOTAS[code]
    return {"ServiceCode": "ec2", "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)", "QuotaCode": code,
            "QuotaName": name, "Value": float(world.setting(setting)), "Unit": "None", "Adjustable": True, "GlobalQuota": False,
            "QuotaArn": world.arn("servicequotas", f"ec2/{code}")}


@operation("service-quotas", "GetServiceQuota")
def get_quota(world, params, caller):
    if params["ServiceCode"] != "ec2" or params["QuotaCode"] not in QUOTAS:
        raise ServiceError("NoSuchResourceException", "The request failed because the specified service does not exist.", 400)
    return {"Quota": _shown(world, params["QuotaCode"])}


@operation("service-quotas", "ListServiceQuotas")
def list_quotas(world, params, caller):
    return {"Quotas": [_shown(world, code) for code in QUOTAS] if params["ServiceCode"] == "ec2" else []}
