"""Snapshots of volumes: names, life, restoring and copying from them."""

from harness import MIB


def run(run):
    client = run.client
    post = lambda **values: run.model("VolumeSnapshotPost", **values)
    run.one(client.post_volumes(
        names=["snapped"], volume=run.model("VolumePost", provisioned=4 * MIB)))
    first = run.one(client.post_volume_snapshots(
        source_names=["snapped"], volume_snapshot=post(suffix="before")))
    run.same((first.name, first.suffix, first.provisioned, first.source.name),
             ("snapped.before", "before", 4 * MIB, "snapped"))
    run.same("time_remaining" in first.to_dict(), False, "time_remaining of a live snapshot")
    numbered = [
        run.one(client.post_volume_snapshots(source_names=["snapped"], volume_snapshot=post()))
        for _ in range(2)]
    run.same(int(numbered[1].suffix), int(numbered[0].suffix) + 1, "numbers")
    run.refused(
        client.post_volume_snapshots(
            source_names=["snapped"], volume_snapshot=post(suffix="Before")),
        "Volume snapshot already exists.", "snapped.before")
    run.refused(
        client.post_volume_snapshots(source_names=["none"], volume_snapshot=post()),
        "Volume does not exist.", "none")
    run.check(
        client.post_volume_snapshots(
            source_names=["snapped"], volume_snapshot=post(suffix="a.b")).status_code == 400,
        "a suffix with a point")
    run.refused(client.get_volume_snapshots(names=["snapped.none"]),
                "No such volume or snapshot.", "snapped.none")
    listed(run, first)
    life(run)
    sources(run, first)


def listed(run, first):
    client = run.client
    all_of_it = run.names(client.get_volume_snapshots(source_names=["snapped"]))
    run.same(len(all_of_it), 3)
    run.same(run.names(client.get_volume_snapshots(filter="source.name='snapped'")), all_of_it)
    run.same(run.one(client.get_volume_snapshots(ids=[first.id])).name, first.name)
    run.same(run.one(client.get_volume_snapshots(filter="suffix='before'")).id, first.id)
    by_id = run.names(client.get_volume_snapshots(source_ids=[first.source.id], sort=["name-"]))
    run.same(sorted(by_id), sorted(all_of_it))
    counted = client.get_volume_snapshots(source_names=["snapped"], limit=0)
    run.same(counted.total_item_count, 3)


def life(run):
    client = run.client
    change = lambda name, /, **values: client.patch_volume_snapshots(
        names=[name], volume_snapshot=run.model("VolumeSnapshotPatch", **values))
    run.same(run.one(change("snapped.before", name="kept")).name, "snapped.kept")
    gone = run.one(change("snapped.kept", destroyed=True))
    run.check(0 < gone.time_remaining <= 86_400_000, "time_remaining of a destroyed snapshot")
    run.refused(
        change("snapped.kept", destroyed=True),
        "Volume snapshot has been destroyed. It can be recovered by purevol recover and"
        " eradicated by purevol eradicate.", "snapped.kept")
    run.same(run.names(client.get_volume_snapshots(destroyed=True)), ["snapped.kept"])
    run.one(change("snapped.kept", destroyed=False))
    last = run.names(client.get_volume_snapshots(source_names=["snapped"]))[-1]
    run.refused(client.delete_volume_snapshots(names=[last]),
                "Volume snapshot has not been destroyed.", last)
    run.one(change(last, destroyed=True))
    run.ok(client.delete_volume_snapshots(names=[last]))
    run.refused(client.get_volume_snapshots(names=[last]), "No such volume or snapshot.", last)


def sources(run, first):
    client = run.client
    source = run.model("VolumePost", source=run.model("Reference", name="snapped.kept"))
    copy = run.one(client.post_volumes(names=["from-snapshot"], volume=source))
    run.same((copy.provisioned, copy.source.name), (4 * MIB, "snapped"))
    before = run.one(client.get_volumes(names=["snapped"]))
    restored = run.one(client.post_volumes(names=["snapped"], volume=source, overwrite=True))
    run.same((restored.id, restored.serial), (before.id, before.serial), "a restored volume")
    run.refused(client.post_volumes(names=["snapped"], volume=source),
                "Volume already exists.", "snapped")
    none = run.model("VolumePost", source=run.model("Reference", name="snapped.none"))
    run.refused(client.post_volumes(names=["x"], volume=none),
                "No such volume or snapshot.", "snapped.none")
    gone = run.model("VolumePatch", destroyed=True)
    run.one(client.patch_volumes(names=["snapped"], volume=gone))
    with_it = run.ok(client.get_volume_snapshots(names=["snapped.kept"]))
    run.same([item.destroyed for item in with_it], [True], "snapshots go with their volume")
    run.one(client.patch_volumes(
        names=["snapped"], volume=run.model("VolumePatch", destroyed=False)))
    run.same(run.one(client.get_volume_snapshots(ids=[first.id])).destroyed, False)
