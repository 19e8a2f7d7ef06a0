"""Runs the first-start scripts as a machine does, against an AWS that checks what it is asked.

usage: machine.py FOLDER, which has the scripts, as cloud-init lays them down. Real are sh, curl,
openssl and the signatures, which are checked by code of this file; dpkg, systemctl and journalctl
write down what they were asked for. The last line is `N passed, N failed`.
"""

import base64
import gzip
import hashlib
import hmac
import json
import os
import subprocess
import sys
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

KEY_ID, SECRET, TOKEN = "ASIAEXAMPLE", "secret/with+signs", "token=="
PACKAGE = "lifeverse-relay_0.1.0_arm64.deb"
USAGE = '{"kind":"usage","minute_ms":60000,"shard":"i-1-0","room":"r"}'


def digest(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def is_signed(request, body, service):
    """Whether AWS would take it: Signature Version 4, the session's token among what is signed."""
    fields = dict(
        part.strip().split("=", 1)
        for part in request.headers["authorization"].removeprefix("AWS4-HMAC-SHA256 ").split(",")
    )
    names = fields["SignedHeaders"].split(";")
    if not {"host", "x-amz-date", "x-amz-security-token"} <= set(names):
        return False
    if request.headers["x-amz-security-token"] != TOKEN:
        return False
    payload = request.headers.get("x-amz-content-sha256") or hashlib.sha256(body).hexdigest()
    if service == "s3" and "x-amz-content-sha256" not in names:
        return False
    url = urlsplit(request.path)
    headers = "".join(f"{name}:{request.headers[name].strip()}\n" for name in names)
    whole = "\n".join([request.command, url.path, url.query, headers, ";".join(names), payload])
    time, scope = request.headers["x-amz-date"], fields["Credential"].removeprefix(KEY_ID + "/")
    day, region, wanted, end = scope.split("/")
    if (wanted, region, end) != (service, "eu-west-1", "aws4_request"):
        return False
    key = ("AWS4" + SECRET).encode()
    for part in (day, region, service, end):
        key = digest(key, part)
    text = "\n".join(
        ["AWS4-HMAC-SHA256", time, scope, hashlib.sha256(whole.encode()).hexdigest()]
    )
    return fields["Signature"] == digest(key, text).hex()


class Aws(ThreadingHTTPServer):
    """The metadata of a machine, a bucket, and auto-scaling."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.metadata = {
            "instance-id": "i-0123456789abcdef0",
            "local-ipv4": "10.20.0.7",
            "public-ipv4": "203.0.113.7",
            "ipv6": "2001:db8::7",
            "iam/security-credentials/": "lifeverse-relay",
            "iam/security-credentials/lifeverse-relay": json.dumps(
                {"AccessKeyId": KEY_ID, "SecretAccessKey": SECRET, "Token": TOKEN}, indent=2
            ),
        }
        self.objects, self.unsigned, self.completed, self.states = {}, 0, [], []
        self.refusals = 0
        Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def reply(self, status, body=b""):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        if self.path == "/latest/api/token":
            return self.reply(200, b"session")
        return self.signed("s3")

    def do_POST(self):
        return self.signed("autoscaling")

    def do_GET(self):
        if not self.path.startswith("/latest/meta-data/"):
            return self.signed("s3")
        if self.headers["x-aws-ec2-metadata-token"] != "session":
            return self.reply(401)
        name = self.path.removeprefix("/latest/meta-data/")
        if name == "autoscaling/target-lifecycle-state" and self.server.states:
            return self.reply(200, self.server.states.pop(0).encode())
        if name in self.server.metadata:
            return self.reply(200, self.server.metadata[name].encode())
        return self.reply(404)

    def signed(self, service):
        # curl asks before it sends a file.
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if not is_signed(self, body, service):
            self.server.unsigned += 1
            return self.reply(403)
        if service == "autoscaling":
            if self.server.refusals:
                self.server.refusals -= 1
                return self.reply(500)
            self.server.completed.append(parse_qs(body.decode()))
            return self.reply(200)
        if self.command == "PUT":
            self.server.objects[self.path] = body
            return self.reply(200)
        found = self.server.objects.get(self.path)
        return self.reply(404) if found is None else self.reply(200, found)


class Machine:
    """A folder that stands for the root of one, and the programs that its scripts call."""

    def __init__(self, scripts, **settings):
        self.root = Path(tempfile.mkdtemp())
        self.aws = Aws()
        self.scripts = scripts
        for name in ("bin", "etc", "state"):
            (self.root / name).mkdir()
        self.program("dpkg", '[ "$1" = --print-architecture ] && echo arm64; exit 0')
        self.program("systemctl", "exit 0")
        self.program("nproc", "echo 2")
        # A machine's wait for its end is not this test's.
        self.program("sleep", "exit 0")
        self.program(
            "journalctl",
            f"printf '%s\\n' 'not a record' '{USAGE}'; echo place > {self.root}/state/next",
        )
        settings = {
            "REGION": "eu-west-1",
            "VERSION": "0.1.0",
            "BUCKET_URL": self.aws.url,
            "EDGE": "https://voice.example.com",
            "VOICE_REGION": "eu",
            "COLOUR": "blue",
            "GROUP": "lifeverse-blue",
            "SHARDS": "0",
            "MAX_PARTICIPANTS": "1000",
            "MEDIA_PORTS": "8",
            "RECORDS_URL": self.aws.url + "/records",
            "REMOTE_WRITE_URL": "",
            "REMOTE_WRITE_SIGNED": "",
        } | settings
        lines = "".join(f"{name}='{value}'\n" for name, value in settings.items())
        (self.root / "etc/machine.env").write_text(lines)
        self.release()

    def program(self, name, script):
        path = self.root / "bin" / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.root}/called\n{script}\n')
        path.chmod(0o755)

    def release(self):
        key, folder = self.root / "release.key", "/0.1.0/"
        openssl = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", key]
        subprocess.run(openssl, check=True, capture_output=True)
        openssl = ["openssl", "pkey", "-in", key, "-pubout", "-out", self.root / "etc/release.pem"]
        subprocess.run(openssl, check=True, capture_output=True)
        package = b"a package"
        files = {PACKAGE: hashlib.sha256(package).hexdigest(), "other.tar.gz": "0" * 64}
        manifest = self.root / "manifest.json"
        manifest.write_text(json.dumps({"version": "0.1.0", "files": files}, indent=2))
        openssl = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", manifest]
        seal = subprocess.run(openssl, check=True, capture_output=True).stdout
        self.aws.objects |= {
            folder + "manifest.json": manifest.read_bytes(),
            folder + "manifest.json.sig": base64.b64encode(seal),
            folder + PACKAGE: package,
        }

    def run(self, script):
        environment = {
            "PATH": f"{self.root}/bin:{os.environ['PATH']}",
            "MACHINE": f"{self.root}/etc/machine.env",
            "ETC": f"{self.root}/etc",
            "PROMETHEUS": f"{self.root}/prometheus.yml",
            "STATE_DIRECTORY": f"{self.root}/state",
            "IMDS": self.aws.url,
            "AUTOSCALING_URL": self.aws.url,
            "PAUSE_SECONDS": "0",
            "RETRIES": "1",
        }
        done = subprocess.run(
            ["sh", f"{self.scripts}/{script}"], env=environment, capture_output=True, timeout=60
        )
        return done.returncode, done.stderr.decode()

    def called(self):
        path = self.root / "called"
        return path.read_text().splitlines() if path.exists() else []


def it_installs_what_is_signed(scripts):
    machine = Machine(scripts)
    status, said = machine.run("install.sh")
    assert status == 0, said
    wanted = (
        'RELAY_ARGS="--enrol https://voice.example.com --enrol-aws --region eu --shards 2 '
        "--max-participants 1000 --listen 10.20.0.7:7410 --listen-tcp 10.20.0.7:443 "
        "--advertise 203.0.113.7 --listen [2001:db8::7]:7410 --listen-tcp [2001:db8::7]:443 "
        "--advertise 2001:db8::7 --control 10.20.0.7:7411 "
        '--control-url http://203.0.113.7:7411"\n'
    )
    assert (machine.root / "etc/relay.env").read_text() == wanted
    called = machine.called()
    assert any(line.startswith("dpkg --install") and PACKAGE in line for line in called), called
    assert called[-1].startswith("systemctl enable --now lifeverse-relay.service"), called
    assert not (machine.root / "prometheus.yml").exists()
    assert machine.aws.unsigned == 0


def it_refuses_a_package_that_was_changed(scripts):
    machine = Machine(scripts)
    machine.aws.objects["/0.1.0/" + PACKAGE] = b"another package"
    status, said = machine.run("install.sh")
    assert status != 0 and "was changed; do not install it" in said, said
    assert not any("--install" in line or "enable" in line for line in machine.called())


def it_is_refused_with_a_key_that_is_not_its_own(scripts):
    machine = Machine(scripts)
    name = "iam/security-credentials/lifeverse-relay"
    machine.aws.metadata[name] = machine.aws.metadata[name].replace(SECRET, "another")
    status, said = machine.run("install.sh")
    assert status != 0 and "403" in said and machine.aws.unsigned > 0, said


def it_refuses_a_machine_that_nobody_reaches(scripts):
    machine = Machine(scripts)
    del machine.aws.metadata["public-ipv4"]
    status, said = machine.run("install.sh")
    assert status != 0 and "no public IPv4 address" in said, said
    assert not any("--install" in line for line in machine.called())


def it_has_no_more_shards_than_open_ports_and_does_without_ipv6(scripts):
    machine = Machine(scripts, MEDIA_PORTS="1", REMOTE_WRITE_URL="https://m.example.com/write")
    del machine.aws.metadata["ipv6"]
    status, said = machine.run("install.sh")
    assert status == 0, said
    arguments = (machine.root / "etc/relay.env").read_text()
    assert "--shards 1 " in arguments and "[" not in arguments, arguments
    metrics = (machine.root / "prometheus.yml").read_text()
    assert 'remote_write: [{ url: "https://m.example.com/write" }]' in metrics, metrics
    assert "relay: i-0123456789abcdef0" in metrics, metrics


def it_carries_voice_though_nobody_asks_for_its_metrics(scripts):
    machine = Machine(scripts, REMOTE_WRITE_URL="https://m.example.com/write")
    machine.program("systemctl", '[ "$1" != restart ]')
    status, said = machine.run("install.sh")
    assert status == 0 and "sends no metrics" in said, said
    assert any("lifeverse-relay.service" in line for line in machine.called())


def it_signs_what_it_sends_to_amazon(scripts):
    machine = Machine(scripts, REMOTE_WRITE_URL="https://aps/write", REMOTE_WRITE_SIGNED="yes")
    status, said = machine.run("install.sh")
    assert status == 0, said
    metrics = (machine.root / "prometheus.yml").read_text()
    assert "write\", sigv4: { region: eu-west-1 } }]" in metrics, metrics


def it_drains_before_it_ends(scripts):
    machine = Machine(scripts)
    machine.aws.states = ["InService", "InService", "Terminated"]
    status, said = machine.run("drain.sh")
    assert status == 0, said
    called = [line for line in machine.called() if line.startswith("systemctl")]
    assert called == [
        "systemctl stop lifeverse-relay.service",
        "systemctl start lifeverse-records.service",
    ], called
    assert machine.aws.states == [] and machine.aws.unsigned == 0
    [completed] = machine.aws.completed
    assert completed["InstanceId"] == ["i-0123456789abcdef0"]
    assert completed["AutoScalingGroupName"] == ["lifeverse-blue"]
    assert completed["LifecycleActionResult"] == ["CONTINUE"]
    assert machine.called()[-1] == "sleep infinity"


def it_drains_when_it_is_taken_back(scripts):
    machine = Machine(scripts)
    machine.aws.metadata["spot/instance-action"] = '{"action": "terminate"}'
    status, said = machine.run("drain.sh")
    assert status == 0, said
    assert "systemctl stop lifeverse-relay.service" in machine.called()


def it_fails_when_nobody_takes_its_end_so_that_it_is_run_again(scripts):
    machine = Machine(scripts)
    machine.aws.metadata["autoscaling/target-lifecycle-state"] = "Terminated"
    machine.aws.refusals = 100
    status, _ = machine.run("drain.sh")
    assert status != 0 and machine.aws.completed == []
    machine.aws.refusals = 0
    assert machine.run("drain.sh")[0] == 0 and len(machine.aws.completed) == 1


def it_brings_usage_records_and_remembers_where_it_was(scripts):
    machine = Machine(scripts)
    status, said = machine.run("records.sh")
    assert status == 0, said
    [name] = [name for name in machine.aws.objects if name.startswith("/records/usage/")]
    assert gzip.decompress(machine.aws.objects[name]).decode() == USAGE + "\n"
    assert (machine.root / "state/cursor").read_text() == "place\n"
    assert machine.aws.unsigned == 0


def it_brings_them_again_when_they_did_not_arrive(scripts):
    machine = Machine(scripts, RECORDS_URL="http://127.0.0.1:1/records")
    assert machine.run("records.sh")[0] != 0
    assert not (machine.root / "state/cursor").exists()


def main():
    tests = [test for name, test in sorted(globals().items()) if name.startswith("it_")]
    failed = 0
    for test in tests:
        try:
            test(Path(sys.argv[1]).resolve())
            print("ok    ", test.__name__)
        except Exception as error:
            failed += 1
            print("FAILED", test.__name__, repr(error))
    print(f"{len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
