"""What the emulator of AWS (moto 5.2.5) lacks: selections and recovery points of AWS Backup, the
state of a subnet's IPv6 addresses, which it tells one level too deep, and the first start in later
versions of a launch template, on which it fails.

A call that it does not know is repeated by the provider for ten minutes, so it has to be known.
`cargo xtask test` runs this before tests/scenarios/moto_in_turn.py, in one program.
"""

import json

from moto.backup import responses, urls
from moto.core.types import Base64EncodedString
from moto.ec2.models.launch_templates import LaunchTemplateVersion
from moto.ec2.models.subnets import Subnet

selections = {}


def created(self):
    wanted = json.loads(self.body)["BackupSelection"]
    name = wanted["SelectionName"]
    selections[name] = wanted
    plan = self.path.split("/")[3]
    return json.dumps({"SelectionId": name, "BackupPlanId": plan})


def shown(self):
    _, _, _, plan, _, name = self.path.split("/")
    if name not in selections:
        return 400, {}, json.dumps({"__type": "InvalidParameterValueException", "message": "none"})
    reply = {"SelectionId": name, "BackupPlanId": plan, "BackupSelection": selections[name]}
    return json.dumps(reply)


def deleted(self):
    selections.pop(self.path.split("/")[5], None)
    return "{}"


def no_recovery_points(self):
    return json.dumps({"RecoveryPoints": []})


responses.BackupResponse.list_recovery_points_by_backup_vault = no_recovery_points
urls.url_paths["{0}/backup-vaults/(?P<vault>[^/]+)/recovery-points/?$"] = (
    responses.BackupResponse.dispatch
)
responses.BackupResponse.create_backup_selection = created
responses.BackupResponse.get_backup_selection = shown
responses.BackupResponse.delete_backup_selection = deleted
urls.url_paths["{0}/backup/plans/(?P<plan>[^/]+)/selections/(?P<name>[^/]+)$"] = (
    responses.BackupResponse.dispatch
)
urls.url_paths.setdefault(
    "{0}/backup/plans/(?P<plan>[^/]+)/selections/?$", responses.BackupResponse.dispatch
)


def associated(self):
    return [
        {
            "ipv6CidrBlock": one["ipv6CidrBlock"],
            "associationId": one["associationId"],
            "ipv6CidrBlockState": {"state": one["ipv6CidrBlockState"]["State"]},
        }
        for one in self.ipv6_cidr_block_associations.values()
    ]


Subnet.ipv6_cidr_block_association_set = property(associated)


def first_start(self):
    data = self.data.get("UserData")
    return Base64EncodedString(data) if isinstance(data, str) else data


LaunchTemplateVersion.user_data = property(first_start)
