"""The manifests as values, against rules of our own: there is no cluster here that could refuse
them. Where `kubectl` is installed, it puts each kustomization together as well."""

import copy
import itertools
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from dockerfile import ROOT, stages

from keyhall import __version__
from keyhall.api import app as api
from keyhall.api.health import CHECK_SECONDS, OK, Health
from keyhall.config import Server
from keyhall.flows.hall import Hall
from keyhall.ledger import spool

FOLDER = ROOT / "deploy" / "kubernetes"
KUSTOMIZATIONS = sorted(path.parent for path in FOLDER.rglob("kustomization.yaml"))
EXAMPLE = FOLDER / "secret.example.yaml"
NAMESPACE = "keyhall"
VERSIONS = {
    "Namespace": "v1",
    "ServiceAccount": "v1",
    "ConfigMap": "v1",
    "Secret": "v1",
    "Service": "v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "PodDisruptionBudget": "policy/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "StatefulSet": "apps/v1",
    "Deployment": "apps/v1",
    "Job": "batch/v1",
}


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def resources(folder: Path) -> list[dict[str, Any]]:
    """All that a kustomization applies, those below it first."""
    found: list[dict[str, Any]] = []
    (kustomization,) = documents(folder / "kustomization.yaml")
    for name in kustomization["resources"]:
        path = (folder / name).resolve()
        found += resources(path) if path.is_dir() else documents(path)
    return found


WHOLE = {name: resources(FOLDER / name) for name in ("statefulset", "deployment")}
JOB = resources(FOLDER / "migrate")
(SECRET,) = documents(EXAMPLE)
EVERY = [*itertools.chain(*WHOLE.values()), *JOB, SECRET]
WORKLOADS = [
    pytest.param(each, id=each["kind"]) for each in EVERY if "template" in each.get("spec", {})
]
SERVERS = [each for each in WORKLOADS if each.id != "Job"]


def the(kind: str, where: str) -> dict[str, Any]:
    (found,) = [each for each in WHOLE[where] if each["kind"] == kind]
    return found


def container_of(workload: dict[str, Any]) -> dict[str, Any]:
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    value: dict[str, Any] = container
    return value


def is_chosen(workload: dict[str, Any], selector: dict[str, str]) -> bool:
    labels = workload["spec"]["template"]["metadata"]["labels"]
    return bool(selector) and selector.items() <= labels.items()


@pytest.fixture(scope="module")
def real_paths() -> set[str]:
    """The paths that the server answers beside `/v1`."""
    marked: Any = api.web(SimpleNamespace(url="http://here"), None)  # no route is called
    return {route.path for route in marked._inside.routes}


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.yaml")), ids=lambda path: path.name)
def test_every_file_belongs_to_a_kustomization_or_is_the_example(path: Path) -> None:
    assert documents(path)
    named = {
        (folder / name).resolve()
        for folder in KUSTOMIZATIONS
        for name in documents(folder / "kustomization.yaml")[0]["resources"]
    }
    assert path in named or path.name == "kustomization.yaml" or path == EXAMPLE
    assert EXAMPLE not in named


@pytest.mark.parametrize("each", EVERY, ids=lambda each: each["kind"])
def test_a_resource_says_what_it_is_and_where(each: dict[str, Any]) -> None:
    assert each["apiVersion"] == VERSIONS[each["kind"]]
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", each["metadata"]["name"])
    if each["kind"] == "Namespace":
        assert each["metadata"]["name"] == NAMESPACE
    else:
        assert each["metadata"]["namespace"] == NAMESPACE


@pytest.mark.parametrize("where", WHOLE)
def test_no_resource_is_there_twice(where: str) -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in WHOLE[where]]
    assert len(set(names)) == len(names)
    kinds = {kind for kind, _ in names}
    assert len(kinds & {"StatefulSet", "Deployment"}) == 1


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_pod_may_do_nothing_that_it_does_not_need(workload: dict[str, Any]) -> None:
    """What the namespace's level `restricted` asks for, and a read-only root."""
    pod = workload["spec"]["template"]["spec"]
    uid, _, gid = stages()[-1].last("USER").rest.partition(":")
    of_pod = pod["securityContext"]
    assert of_pod["runAsNonRoot"] is True
    assert (of_pod["runAsUser"], of_pod["runAsGroup"]) == (int(uid), int(gid))
    assert of_pod["fsGroup"] == int(gid)
    assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container_of(workload)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert not [volume for volume in pod["volumes"] if "hostPath" in volume]
    labels = the("Namespace", "statefulset")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_pod_runs_this_image_with_its_folders(workload: dict[str, Any]) -> None:
    container = container_of(workload)
    assert container["image"] == f"keyhall:{__version__}"
    assert "command" not in container  # The image's entry point.
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts == {"data": stages()[-1].environment["KEYHALL_DATA"], "tmp": "/tmp"}
    spec = workload["spec"]
    claims = {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])}
    volumes = {volume["name"] for volume in spec["template"]["spec"]["volumes"]}
    assert claims | volumes == set(mounts)
    assert not claims & volumes
    for volume in spec["template"]["spec"]["volumes"]:
        assert volume["emptyDir"]["sizeLimit"]


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_pod_has_bounds(workload: dict[str, Any]) -> None:
    resources = container_of(workload)["resources"]
    assert {"cpu", "memory"} <= set(resources["requests"])
    assert "memory" in resources["limits"]


@pytest.mark.parametrize("workload", SERVERS)
def test_probes_ask_what_the_server_answers(workload: dict[str, Any], real_paths: set[str]) -> None:
    container = container_of(workload)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": Server().port}
    probes = {name: container[f"{name}Probe"] for name in ("startup", "liveness", "readiness")}
    for probe in probes.values():
        assert probe["httpGet"]["path"] in real_paths
        assert probe["httpGet"]["port"] in ports
        assert probe["failureThreshold"] >= 3  # One slow answer is not yet an ill pod.
    for name in ("startup", "liveness"):
        assert probes[name]["periodSeconds"] * probes[name]["failureThreshold"] >= 60
    assert probes["readiness"]["httpGet"]["path"] == "/readyz"
    assert probes["readiness"]["timeoutSeconds"] > CHECK_SECONDS


@pytest.mark.parametrize("workload", SERVERS)
def test_i8_an_outage_of_the_database_restarts_no_pod_and_takes_none_out(
    workload: dict[str, Any],
) -> None:
    """All pods miss it at once, and known keys go on without it."""
    container = container_of(workload)
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["startupProbe"]["httpGet"]["path"] == "/healthz"
    parts = {"server": OK, "ledger": "late", "store": "away: no answer", "engine sandbox": OK}
    without_database = Health(cast(Hall, None), lambda: None, lambda: "late")
    assert without_database.is_ready(parts)
    without_disk = Health(cast(Hall, None), lambda: "full", lambda: None)
    assert not without_disk.is_ready(parts)


@pytest.mark.parametrize("where", WHOLE)
def test_i18_a_pod_is_given_the_time_that_its_answers_are(where: str) -> None:
    workload = the("StatefulSet" if where == "statefulset" else "Deployment", where)
    settings = the("ConfigMap", where)["data"]
    word, pause = container_of(workload)["lifecycle"]["preStop"]["exec"]["command"]
    grace = int(settings["KEYHALL_SERVER_GRACE_SECONDS"])
    assert word == "sleep"
    given = workload["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert given >= int(pause) + grace + 15


@pytest.mark.parametrize("where", WHOLE)
def test_whoever_chooses_pods_chooses_the_servers_and_not_the_job(where: str) -> None:
    workload = the("StatefulSet" if where == "statefulset" else "Deployment", where)
    spec = workload["spec"]
    selectors = [
        spec["selector"]["matchLabels"],
        the("PodDisruptionBudget", where)["spec"]["selector"]["matchLabels"],
        *[each["spec"]["selector"] for each in WHOLE[where] if each["kind"] == "Service"],
        *[
            each["labelSelector"]["matchLabels"]
            for each in spec["template"]["spec"]["topologySpreadConstraints"]
        ],
    ]
    for selector in selectors:
        assert is_chosen(workload, selector)
        assert not is_chosen(JOB[0], selector)
    shielded = the("NetworkPolicy", where)["spec"]["podSelector"]["matchLabels"]
    assert is_chosen(workload, shielded)
    assert is_chosen(JOB[0], shielded)


@pytest.mark.parametrize("where", WHOLE)
def test_the_autoscaler_scales_what_is_there(where: str) -> None:
    scaler = the("HorizontalPodAutoscaler", where)["spec"]
    kind = scaler["scaleTargetRef"]["kind"]
    workload = the(kind, where)
    assert scaler["scaleTargetRef"]["apiVersion"] == workload["apiVersion"]
    assert scaler["scaleTargetRef"]["name"] == workload["metadata"]["name"]
    assert 1 < scaler["minReplicas"] < scaler["maxReplicas"]
    assert "replicas" not in workload["spec"]  # Two owners of a number fight over it.
    assert "cpu" in container_of(workload)["resources"]["requests"]  # What a share is a share of.
    budget = the("PodDisruptionBudget", where)["spec"]["maxUnavailable"]
    assert budget < scaler["minReplicas"]


@pytest.mark.parametrize("where", WHOLE)
def test_services_and_the_network_policy_name_ports_that_are_there(where: str) -> None:
    workload = the("StatefulSet" if where == "statefulset" else "Deployment", where)
    names = {port["name"] for port in container_of(workload)["ports"]}
    for service in [each for each in WHOLE[where] if each["kind"] == "Service"]:
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
    policy = the("NetworkPolicy", where)["spec"]
    assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} <= names
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    out = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    assert out == {53, 443, 5432, 6379}
    if where == "statefulset":
        named = {each["metadata"]["name"] for each in WHOLE[where] if each["kind"] == "Service"}
        assert workload["spec"]["serviceName"] in named


@pytest.mark.parametrize("workload", WORKLOADS)
def test_what_a_pod_refers_to_exists(workload: dict[str, Any]) -> None:
    container = container_of(workload)
    shared = WHOLE["statefulset"]
    accounts = {each["metadata"]["name"] for each in shared if each["kind"] == "ServiceAccount"}
    assert workload["spec"]["template"]["spec"]["serviceAccountName"] in accounts
    for each in container["env"]:
        reference = each["valueFrom"]["secretKeyRef"]
        assert reference["name"] == SECRET["metadata"]["name"]
        assert reference["key"] in SECRET["stringData"]
        assert each["name"] == reference["key"]
    for each in container.get("envFrom", []):
        assert each["configMapRef"]["name"] == the("ConfigMap", "statefulset")["metadata"]["name"]


def test_no_manifest_holds_a_secret() -> None:
    """Secrets come from the Secret, and the example of it works nowhere."""
    assert not [each for each in EVERY if each["kind"] == "Secret" and each is not SECRET]
    for value in SECRET["stringData"].values():
        assert "REPLACE-ME" in value
    for name in the("ConfigMap", "statefulset")["data"]:
        assert not re.search("KEY$|PEPPER|PASSWORD|TOKEN|URL$", name)


def test_both_ways_to_run_have_the_same_pod_but_for_its_volume() -> None:
    pods = {}
    for where, kind in (("statefulset", "StatefulSet"), ("deployment", "Deployment")):
        template = copy.deepcopy(the(kind, where)["spec"]["template"])
        volumes = template["spec"]["volumes"]
        template["spec"]["volumes"] = [each for each in volumes if each["name"] != "data"]
        pods[where] = template
    assert pods["statefulset"] == pods["deployment"]


def test_r17_a_stateful_pod_keeps_its_journal_and_finds_it_again() -> None:
    spec = the("StatefulSet", "statefulset")["spec"]
    assert [claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]] == ["data"]
    kept = {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert spec["persistentVolumeClaimRetentionPolicy"] == kept


@pytest.mark.parametrize("where", WHOLE)
def test_i8_the_volume_holds_a_full_spool_and_more(where: str) -> None:
    """A folder in a pod that grows beyond its bound has the pod evicted."""
    text = (FOLDER / where / f"{where}.yaml").read_text(encoding="utf-8")
    (size,) = re.findall(r"(?:storage|^ +emptyDir: \{sizeLimit): (\d+)Gi", text, re.MULTILINE)
    assert int(size) * 2**30 >= 1.5 * spool.BYTES_MAX


def test_the_job_ends_and_is_cleared_away() -> None:
    """A job's template cannot be changed: the next version's needs the place."""
    (job,) = JOB
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert job["spec"]["backoffLimit"] >= 1
    assert job["spec"]["activeDeadlineSeconds"] > 0
    assert job["spec"]["ttlSecondsAfterFinished"] > 0


@pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl to put them together")
@pytest.mark.parametrize("folder", KUSTOMIZATIONS, ids=lambda folder: folder.name)
def test_kubectl_puts_together_what_we_read(folder: Path) -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    made = {
        (each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(done.stdout)
    }
    assert made == {(each["kind"], each["metadata"]["name"]): each for each in resources(folder)}
