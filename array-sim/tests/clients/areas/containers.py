"""Pods, volume groups, what is in them, and protection groups, which can only be read: the control
listener makes one."""

from harness import MIB


def run(run):
    pods(run)
    volume_groups(run)
    moves(run)
    protection_groups(run)


def volume(run, *names):
    post = run.model("VolumePost", provisioned=MIB)
    return run.ok(run.client.post_volumes(names=list(names), volume=post))


def pods(run):
    client = run.client
    make = lambda name: client.post_pods(names=[name], pod=run.model("PodPost"))
    change = lambda name, /, contents=None, **values: client.patch_pods(
        names=[name], pod=run.model("PodPatch", **values), **(contents or {}))
    pod = run.one(make("pod-1"))
    run.same((pod.name, pod.destroyed, pod.promotion_status), ("pod-1", False, "promoted"))
    run.same([(one.name, one.status) for one in pod.arrays], [("array-a", "online")])
    run.refused(make("Pod-1"), "Pod already exists.", "pod-1")
    run.refused(client.get_pods(names=["none"]), "Pod does not exist.", "none")
    run.same(run.one(client.get_pods(ids=[pod.id])).name, "pod-1")
    run.same(run.names(client.get_pods(filter="name='pod-*' and not destroyed")), ["pod-1"])
    inside = volume(run, "pod-1::v")[0]
    run.same((inside.name, inside.pod.name, inside.pod.id), ("pod-1::v", "pod-1", pod.id))
    run.same(run.names(client.get_volumes(filter="pod.name='pod-1'")), ["pod-1::v"])
    run.same(run.names(client.get_volumes(names=["pod-1::v"])), ["pod-1::v"])
    run.refused(
        client.post_volumes(names=["none::v"], volume=run.model("VolumePost", provisioned=MIB)),
        "Pod does not exist.", "none")
    run.same(len(run.ok(client.get_pods_arrays(group_names=["pod-1"]))), 1)
    run.same(run.one(client.get_pods_space(names=["pod-1"])).name, "pod-1")
    run.same(run.one(client.get_pods_performance(names=["pod-1"])).name, "pod-1")
    run.same(run.one(change("pod-1", name="pod-2")).name, "pod-2")
    run.same(run.names(client.get_volumes(ids=[inside.id])), ["pod-2::v"])
    if run.minor >= 26:
        quota = run.model("QuotaLimitPatch", 1 << 30)
        run.same(run.one(change("pod-2", quota_limit=quota)).quota_limit, 1 << 30)
        run.refused(change("pod-2", destroyed=True), "Pod is not empty.", "pod-2")
        gone = run.one(change("pod-2", {"destroy_contents": True}, destroyed=True))
    else:
        patch = run.model("VolumePatch", destroyed=True)
        run.one(client.patch_volumes(names=["pod-2::v"], volume=patch))
        run.ok(client.delete_volumes(names=["pod-2::v"]))
        gone = run.one(change("pod-2", destroyed=True))
    run.check(gone.time_remaining > 0, "time_remaining of a destroyed pod")
    run.same(run.one(change("pod-2", destroyed=False)).destroyed, False)
    run.same(run.names(client.get_pods(total_item_count=True, sort=["name-"])), ["pod-2"])


def volume_groups(run):
    client = run.client
    post = run.model("VolumeGroupPost")
    kind = "VolumeGroupPatch" if run.minor >= 26 else "VolumeGroup"
    change = lambda name, /, **values: client.patch_volume_groups(
        names=[name], volume_group=run.model(kind, **values))
    group = run.one(client.post_volume_groups(names=["group-1"], volume_group=post))
    run.same((group.name, group.volume_count, group.to_dict()["qos"]), ("group-1", 0, {}))
    run.refused(client.post_volume_groups(names=["GROUP-1"], volume_group=post),
                "Volume group already exists.", "group-1")
    run.refused(client.get_volume_groups(names=["none"]), "Volume group does not exist.", "none")
    inside = volume(run, "group-1/v", "group-1/w")[0]
    run.same((inside.volume_group.name, inside.volume_group.id), ("group-1", group.id))
    run.same(run.names(client.get_volumes(filter="volume_group.name='group-1'")),
             ["group-1/v", "group-1/w"])
    run.same(run.one(client.get_volume_groups(ids=[group.id])).volume_count, 2)
    members = run.ok(client.get_volume_groups_volumes(group_names=["group-1"]))
    run.same([one.member.name for one in members], ["group-1/v", "group-1/w"])
    run.same(len(run.ok(client.get_volumes_volume_groups(member_names=["group-1/v"]))), 1)
    run.same(run.one(client.get_volume_groups_space(names=["group-1"])).name, "group-1")
    run.same(run.one(client.get_volume_groups_performance(names=["group-1"])).name, "group-1")
    if run.minor >= 26:
        limit = run.model("QosPatch", iops_limit=run.model("QosIopsLimitPatch", 1000))
        run.same(run.one(change("group-1", qos=limit)).qos.iops_limit, 1000)
    run.same(run.one(change("group-1", name="group-2")).name, "group-2")
    run.same(run.names(client.get_volumes(ids=[inside.id])), ["group-2/v"])
    snapshot = run.one(client.post_volume_snapshots(
        source_names=["group-2/v"], volume_snapshot=run.model("VolumeSnapshotPost", suffix="s")))
    run.same((snapshot.name, snapshot.volume_group.name), ("group-2/v.s", "group-2"))


def moves(run):
    """Volumes move between containers, and keep what they are."""
    client = run.client
    before = volume(run, "mover")[0]
    reference = lambda name: run.model("Reference", name=name)
    for values, name in (
        ({"volume_group": reference("group-2")}, "group-2/mover"),
        ({"volume_group": reference("")}, "mover"),
        ({"pod": reference("pod-2")}, "pod-2::mover"),
        ({"pod": reference("")}, "mover"),
    ):
        moved = client.patch_volumes(ids=[before.id], volume=run.model("VolumePatch", **values))
        run.same((run.one(moved).name, moved is not None), (name, True), "the name after a move")
    after = run.one(client.get_volumes(names=["mover"]))
    run.same((after.id, after.serial), (before.id, before.serial))
    wrong = run.model("VolumePatch", volume_group=reference("none"))
    refused = client.patch_volumes(names=["mover"], volume=wrong)
    run.check(refused.errors[0].message == "Volume group does not exist.", refused.errors)


def protection_groups(run):
    client = run.client
    volume(run, "pg-volume")
    run.one(client.post_hosts(names=["pg-host"], host=run.model("HostPost")))
    run.control.post("protection-group", {
        "name": "protected", "volumes": ["pg-volume"], "hosts": ["pg-host"],
        "targets": ["array-b"]}, "PUT")
    group = run.one(client.get_protection_groups(names=["protected"]))
    run.same((group.name, group.is_local, group.destroyed), ("protected", True, False))
    run.same((group.volume_count, group.host_count, group.target_count), (1, 1, 1))
    run.check(group.snapshot_schedule.enabled in (True, False), "a schedule")
    run.refused(client.get_protection_groups(names=["none"]),
                "Protection group does not exist.", "none")
    run.same(run.names(client.get_protection_groups(filter="name='prot*'")), ["protected"])
    volumes = run.ok(client.get_protection_groups_volumes(group_names=["protected"]))
    run.same([one.member.name for one in volumes], ["pg-volume"])
    run.same(len(run.ok(client.get_volumes_protection_groups(member_names=["pg-volume"]))), 1)
    hosts = run.ok(client.get_protection_groups_hosts(group_names=["protected"]))
    run.same([one.member.name for one in hosts], ["pg-host"])
    run.same(len(run.ok(client.get_hosts_protection_groups(group_names=["protected"]))), 1)
    targets = run.ok(client.get_protection_groups_targets(group_names=["protected"]))
    run.same([one.member.name for one in targets], ["array-b"])
    run.ok(client.get_protection_groups_host_groups(group_names=["protected"]))
    run.same(run.one(client.get_protection_groups_space(names=["protected"])).name, "protected")
    run.control.post("protection-group", {"name": "protected"}, "DELETE")
    run.ok(client.delete_hosts(names=["pg-host"]))
