"""Prints a go.mod that builds programs of MODULE at VERSION with the dependencies and replacements of its own go.mod.

Reads `module.json`, what `go mod download -json` said, in the current directory, and lays the module's go.sum beside it.
"""

import json
import os
import shutil
import subprocess
import sys

module, version = sys.argv[1:]
with open("module.json", encoding="utf-8") as file:
    download = json.load(file)
sums = os.path.join(download["Dir"], "go.sum")
if os.path.exists(sums):
    shutil.copyfile(sums, "go.sum")
wanted = json.loads(subprocess.check_output(["go", "mod", "edit", "-json", download["GoMod"]]))

# Kubernetes keeps its libraries in folders of its repository; outside it they are modules of the same number, from 0.
is_kubernetes = module == "k8s.io/kubernetes"
staging = "v0" + version[2:]

print(f"module tools\n\ngo {wanted['Go']}")
for setting in wanted.get("Godebug") or []:
    print(f"godebug {setting['Key']}={setting['Value']}")
print("require", module, version)
for require in wanted.get("Require") or []:
    is_staging = is_kubernetes and require["Path"].startswith("k8s.io/") and require["Version"] == "v0.0.0"
    print("require", require["Path"], staging if is_staging else require["Version"], "// indirect")
for replace in wanted.get("Replace") or []:
    old, new = replace["Old"], replace["New"]
    path, at = new["Path"], new.get("Version", "")
    if path.startswith("."):
        if not is_kubernetes:
            continue
        path, at = old["Path"], staging
    print("replace", old["Path"], old.get("Version", ""), "=>", path, at)
