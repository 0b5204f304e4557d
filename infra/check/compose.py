"""Judges docker-compose.yml where no engine is there to do it: names that mean something, ports on loopback, and files that exist.

`docker compose config` knows the format; where it answers, it is asked too.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import yaml

ROOT = pathlib.Path(os.environ.get("CHECK_ROOT") or pathlib.Path(__file__).resolve().parents[2])
KEYS = {
    "build", "cap_drop", "command", "depends_on", "deploy", "environment", "healthcheck", "image", "ports", "profiles", "read_only",
    "restart", "security_opt", "stop_grace_period", "volumes",
}
OURS = {"ingest", "dispatcher", "source", "target"}
# What `infra/dev/services` starts by name: they have to be there without a profile.
ALWAYS = {"kafka", "postgres"}

mistakes: list[str] = []
file = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
services, volumes = file["services"], file["volumes"]
targets = set(re.findall(r"^FROM .* AS (\S+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.M))

for name, service in services.items():
    for key in service.keys() - KEYS:
        mistakes.append(f"{name}: nobody knows the key `{key}`")
    for port in service.get("ports", []):
        if not re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z_]+:-\d+\}:\d+", port):
            mistakes.append(f"{name}: port {port} must be on loopback, with a variable to move it")
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if source.startswith("./"):
            if not (ROOT / source).exists():
                mistakes.append(f"{name}: {source} does not exist")
        elif source not in volumes:
            mistakes.append(f"{name}: the volume {source} is not declared")
    waits = service.get("depends_on") or {}
    for other in waits:
        if other not in services:
            mistakes.append(f"{name}: waits for {other}, which is no service")
        elif isinstance(waits, dict) and waits[other].get("condition") == "service_healthy" and "healthcheck" not in services[other]:
            mistakes.append(f"{name}: waits for the health of {other}, which tells none")
    if (name in ALWAYS) == ("profiles" in service):
        mistakes.append(f"{name}: {'must have no profile' if name in ALWAYS else 'must have a profile'}")
    if name in OURS:
        if not service.get("read_only") or service.get("cap_drop") != ["ALL"]:
            mistakes.append(f"{name}: must be read-only and without capabilities")
        if service["build"]["target"] not in targets:
            mistakes.append(f"{name}: the Dockerfile has no target {service['build']['target']}")
    elif not re.search(r":v?\d", service["image"]):
        mistakes.append(f"{name}: its image must have a version")

for name in sorted(ALWAYS | OURS - services.keys()):
    if name not in services:
        mistakes.append(f"{name}: is missing")

if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
    told = subprocess.run(["docker", "compose", "--file", ROOT / "docker-compose.yml", "config", "--quiet"], capture_output=True, text=True, check=False)
    if told.returncode != 0:
        mistakes.append(told.stderr.strip())

print("\n".join(mistakes), end="\n" if mistakes else "")
sys.exit(1 if mistakes else 0)
