"""Checks what is deployed with: manifests against Kubernetes' own schemas, and all of it against
rules for what made trouble elsewhere. Each rule is tried on a spoiled copy too: none sleeps.

Prints how many passed. `cargo xtask test --only package` runs it in an environment of its own."""

import copy
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import kubernetes_validate
import yaml

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
KUBERNETES = "1.34"
# A relay ends within this many seconds after its drain.
END_S = 2
# Oldest Spin that runs components of WASI 0.3.
SPIN = (4, 1)
NOBODY = 65534
VERSION = re.search(r'(?m)^version = "([^"]+)"', (ROOT / "Cargo.toml").read_text()).group(1)
# What a service of compose.yaml may say; a word that is spelled wrong is none of these.
COMPOSE_KEYS = set(
    "image command network_mode restart read_only user cap_drop cap_add security_opt logging"
    " stop_grace_period healthcheck volumes secrets environment depends_on ulimits"
    " mem_limit".split()
)


def pods(docs):
    """Name, kind and pod specification of whatever makes pods."""
    for doc in docs:
        if doc["kind"] in ("Deployment", "StatefulSet", "DaemonSet"):
            yield doc["metadata"]["name"], doc["kind"], doc["spec"]["template"]["spec"], doc


def schema(docs, _):
    for doc in docs:
        if doc["kind"] == "SpinApp":
            continue
        try:
            kubernetes_validate.validate(doc, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{doc['kind']} {doc['metadata']['name']}: {error.message}"


def no_daemon_set(docs, _):
    for name, kind, _, _ in pods(docs):
        if kind == "DaemonSet":
            yield f"{name} is a DaemonSet: a node's drain leaves its pods without a drain"


def drain_limit(args):
    found = [arg for arg in args if arg.startswith("--drain-limit-seconds")]
    return int(found[0].split("=")[1]) if found else 60


def grace(docs, compose):
    for name, _, spec, _ in pods(docs):
        if name == "relay":
            limit = drain_limit(spec["containers"][0]["args"]) + END_S
            if spec.get("terminationGracePeriodSeconds", 30) <= limit:
                yield f"{name} is killed before its drain of {limit} s is over"
    relay = compose["services"]["relay"]
    if int(relay["stop_grace_period"].rstrip("s")) <= drain_limit(relay["command"]) + END_S:
        yield "compose: relay is killed before its drain is over"
    unit = (HERE / "systemd/lifeverse-relay.service").read_text()
    stop = int(re.search(r"(?m)^TimeoutStopSec=(\d+)$", unit).group(1))
    if stop <= int(re.search(r"--drain-limit-seconds (\d+)", unit).group(1)) + END_S:
        yield "lifeverse-relay.service is killed before its drain is over"


def images(docs, compose):
    named = [c["image"] for _, _, spec, _ in pods(docs) for c in spec["containers"]]
    named += [doc["spec"]["image"] for doc in docs if doc["kind"] == "SpinApp"]
    named += [service["image"] for service in compose["services"].values()]
    for image in named:
        tag = image.rsplit("/", 1)[-1].partition(":")[2]
        if not re.fullmatch(r"\d+\.\d+\.\d+", tag):
            yield f"{image} names no version"
        elif "lifeverse-" in image and tag != VERSION:
            yield f"{image} is not of version {VERSION}"


def rights(docs, compose):
    for name, _, spec, _ in pods(docs):
        who = spec.get("securityContext", {})
        if who.get("runAsUser") != NOBODY or who.get("runAsNonRoot") is not True:
            yield f"{name} does not run as {NOBODY}"
        if who.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{name} may make every system call"
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{name} has a token of the cluster"
        for container in spec["containers"]:
            may = container.get("securityContext", {})
            if may.get("readOnlyRootFilesystem") is not True:
                yield f"{name} may write to its root"
            if may.get("allowPrivilegeEscalation") is not False:
                yield f"{name} may gain rights"
            if may.get("capabilities") != {"drop": ["ALL"]}:
                yield f"{name} has capabilities"
    for name, service in compose["services"].items():
        # Only root gets a capability for low ports on the host's network.
        user = "0:0" if name == "caddy" else f"{NOBODY}:{NOBODY}"
        if service.get("user") != user or service.get("cap_drop") != ["ALL"]:
            yield f"compose: {name} has more rights than it needs"
        if service.get("read_only") is not True:
            yield f"compose: {name} may write to its root"
        if "no-new-privileges:true" not in service.get("security_opt", []):
            yield f"compose: {name} may gain rights"


def probes(docs, compose):
    for name, _, spec, _ in pods(docs):
        container = spec["containers"][0]
        for probe, path in (
            ("startupProbe", "/healthz"),
            ("livenessProbe", "/healthz"),
            ("readinessProbe", "/readyz"),
        ):
            if container.get(probe, {}).get("httpGet", {}).get("path") != path:
                yield f"{name}: {probe} does not ask {path}"
    for name in ("edge", "relay"):
        test = compose["services"][name].get("healthcheck", {}).get("test", [""])
        if not test[-1].endswith("/readyz"):
            yield f"compose: {name} has no health check"


def resources(docs, _):
    for name, _, spec, _ in pods(docs):
        needs = spec["containers"][0].get("resources", {})
        if needs.get("limits", {}).get("memory") != needs.get("requests", {}).get("memory"):
            yield f"{name} may be killed for memory that it was not promised"
        if "cpu" in needs.get("limits", {}):
            yield f"{name} is throttled: voice waits"


def relay_alone(docs, _):
    spec = next(spec for name, _, spec, _ in pods(docs) if name == "relay")
    if spec.get("hostNetwork") is not True:
        yield "relay is behind the cluster's network"
    apart = spec.get("affinity", {}).get("podAntiAffinity", {})
    required = apart.get("requiredDuringSchedulingIgnoredDuringExecution", [{}])
    if required[0].get("topologyKey") != "kubernetes.io/hostname":
        yield "two relays may be on one node, with one port"
    if not spec.get("tolerations") or not spec.get("nodeSelector"):
        yield "relay has no pool of its own"
    if not any(doc["kind"] == "PodDisruptionBudget" for doc in docs):
        yield "all relays may be drained at once"


def edge_once(docs, _):
    doc = next(doc for name, _, _, doc in pods(docs) if name == "edge")
    if doc["spec"]["replicas"] != 1 or doc["spec"]["strategy"]["type"] != "Recreate":
        yield "two edges would write one database"
    if not any("persistentVolumeClaim" in it for it in doc["spec"]["template"]["spec"]["volumes"]):
        yield "edge forgets everything"


def policies(docs, _):
    found = {doc["metadata"]["name"] for doc in docs if doc["kind"] == "NetworkPolicy"}
    for name in ("edge", "functions", "nothing-else"):
        if name not in found:
            yield f"no network policy {name}"


def spin_app(docs, _):
    doc = next((doc for doc in docs if doc["kind"] == "SpinApp"), None)
    if not doc or doc["apiVersion"] != "core.spinkube.dev/v1alpha1":
        yield "no SpinApp of core.spinkube.dev/v1alpha1"
        return
    wanted = doc["metadata"].get("annotations", {}).get("lifeverse.dev/spin", ">=0.0")
    if tuple(map(int, wanted.removeprefix(">=").split("."))) < SPIN:
        yield "Spin before 4.1 does not run these components"
    stores = doc["spec"].get("runtimeConfig", {}).get("sqliteDatabases", [])
    if [store["type"] for store in stores] != ["libsql"]:
        yield "pods would each have a database of their own"
    manifest = (ROOT / "functions/spin.toml").read_text()
    declared = manifest.split("[variables]")[1].split("[[")[0]
    given = {variable["name"]: variable for variable in doc["spec"]["variables"]}
    for name, about in re.findall(r"(?m)^(\w+) = \{(.*)\}$", declared):
        if "required" in about and name not in given:
            yield f"SpinApp: {name} is required"
        if "secret" in about and "value" in given.get(name, {}):
            yield f"SpinApp: {name} is a secret"
    for name in set(given) - set(re.findall(r"(?m)^(\w+) = ", declared)):
        yield f"SpinApp: spin.toml has no variable {name}"


def podman_reads(_, compose):
    """What podman-compose makes of it, for each container as far as the command that starts it."""
    asked = ("DOMAIN", "LISTEN_IP", "PUBLIC_IP", "REGION")
    settings = os.environ | dict.fromkeys(asked, "192.0.2.7")
    with tempfile.TemporaryDirectory() as folder:
        beside = Path(folder) / "compose"
        shutil.copytree(HERE / "compose", beside)
        for secret in compose["secrets"].values():
            file = beside / secret["file"]
            file.parent.mkdir(exist_ok=True)
            file.touch()
        (beside / "compose.yaml").write_text(yaml.safe_dump(compose))
        command = [Path(sys.executable).with_name("podman-compose"), "--dry-run", "up", "--detach"]
        ran = subprocess.run(command, cwd=beside, env=settings, capture_output=True, text=True)
    if ran.returncode != 0:
        yield f"podman-compose: {(ran.stderr.strip() or 'it failed').splitlines()[-1]}"


def compose_words(_, compose):
    for name, service in compose["services"].items():
        for key in set(service) - COMPOSE_KEYS:
            yield f"compose: {name}.{key} is not known"
        for secret in service.get("secrets", []):
            if secret not in compose["secrets"]:
                yield f"compose: {name} has no secret {secret}"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                if not (HERE / "compose" / source).exists():
                    yield f"compose: {name}: {source} is not there"
            elif source not in compose["volumes"]:
                yield f"compose: {name} has no volume {source}"
        for other in service.get("depends_on", {}):
            if other not in compose["services"]:
                yield f"compose: {name} waits for {other}"
    for name in ("edge", "relay"):
        if compose["services"][name].get("network_mode") != "host":
            yield f"compose: {name} is not on the host's network"


def of(docs, kind, name):
    return next(d for d in docs if d["kind"] == kind and d["metadata"]["name"] == name)


def pod(docs, kind, name):
    return of(docs, kind, name)["spec"]["template"]["spec"]


# Each rule, and how to break it.
RULES = [
    (schema, lambda d, c: of(d, "Service", "edge")["spec"].update(port=80)),
    (no_daemon_set, lambda d, c: of(d, "StatefulSet", "relay").update(kind="DaemonSet")),
    (grace, lambda d, c: pod(d, "StatefulSet", "relay").update(terminationGracePeriodSeconds=60)),
    (grace, lambda d, c: c["services"]["relay"].update(stop_grace_period="10s")),
    (images, lambda d, c: c["services"]["caddy"].update(image="caddy:latest")),
    (images, lambda d, c: of(d, "SpinApp", "functions")["spec"].update(image="a/b")),
    (rights, lambda d, c: pod(d, "Deployment", "edge")["securityContext"].update(runAsUser=0)),
    (rights, lambda d, c: c["services"]["edge"].update(read_only=False)),
    (probes, lambda d, c: pod(d, "Deployment", "edge")["containers"][0].pop("readinessProbe")),
    (resources, lambda d, c: pod(d, "StatefulSet", "relay")["containers"][0].pop("resources")
        and pod(d, "StatefulSet", "relay")["containers"][0].update(
            resources={"limits": {"cpu": "1"}})),
    (relay_alone, lambda d, c: pod(d, "StatefulSet", "relay").update(affinity={})),
    (edge_once, lambda d, c: of(d, "Deployment", "edge")["spec"].update(replicas=2)),
    (policies, lambda d, c: of(d, "NetworkPolicy", "edge")["metadata"].update(name="x")),
    (spin_app, lambda d, c: of(d, "SpinApp", "functions")["spec"].pop("runtimeConfig")),
    (podman_reads, lambda d, c: c["services"]["relay"].update(network_mode="hoost")),
    (compose_words, lambda d, c: c["services"]["edge"].update(imgae="x")),
]


def main():
    docs = []
    for file in sorted((HERE / "kubernetes").glob("*.yaml")):
        docs += [doc for doc in yaml.safe_load_all(file.read_text()) if doc]
    compose = yaml.safe_load((HERE / "compose/compose.yaml").read_text())
    passed = failed = 0
    for rule, spoil in RULES:
        faults = list(rule(docs, compose))
        spoiled = copy.deepcopy((docs, compose))
        spoil(*spoiled)
        if not list(rule(*spoiled)):
            faults.append(f"the rule {rule.__name__} does not see what it is for")
        for fault in faults:
            print(f"FAILED: {fault}")
        passed, failed = (passed, failed + 1) if faults else (passed + 1, failed)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
