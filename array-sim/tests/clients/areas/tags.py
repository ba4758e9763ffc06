"""Tags of volumes: one batch for many volumes, namespaces, copyable or not."""

from harness import MIB

VOLUMES = ["tagged-1", "tagged-2"]


def run(run):
    client = run.client
    post = run.model("VolumePost", provisioned=MIB)
    run.ok(client.post_volumes(names=VOLUMES, volume=post))
    kind = "TagBatch" if run.minor >= 50 else "Tag"
    tag = lambda key, value, **more: run.model(kind, key=key, value=value, **more)
    put = lambda names, *tags: client.put_volumes_tags_batch(resource_names=names, tag=list(tags))
    written = run.ok(put(
        VOLUMES, tag("owner", "me", namespace="mine", copyable=False), tag("tier", "gold")))
    run.same(len(written), 4)
    run.same({item.resource.name for item in written}, set(VOLUMES))
    read = lambda **query: sorted(
        (item.namespace, item.key, item.value, item.copyable)
        for item in run.ok(client.get_volumes_tags(resource_names=VOLUMES[:1], **query)))
    both = [("default", "tier", "gold", True), ("mine", "owner", "me", False)]
    run.same(read(filter="value='*'"), both)
    run.same(read(filter="key='owner'"), both[1:])
    if run.minor >= 26:
        run.same(read(namespaces=["mine"]), both[1:])
    run.ok(put(VOLUMES[:1], tag("owner", "you", namespace="mine", copyable=False)))
    run.same(read(filter="key='owner'"), [("mine", "owner", "you", False)])
    found = run.names(client.get_volumes(filter="tags('owner','you')"))
    run.same(found, VOLUMES[:1], "volumes by tag")
    copies(run)
    snapshots(run, tag)
    refusals(run, put, tag)
    deleted = client.delete_volumes_tags(
        resource_names=VOLUMES[:1], keys=["owner"], namespaces=["mine"])
    run.ok(deleted)
    run.same(read(), both[:1])
    run.refused(
        client.delete_volumes_tags(resource_names=VOLUMES[:1], keys=["owner"], namespaces=["mine"]),
        "Tag does not exist.", VOLUMES[0])


def copies(run):
    """Only what is copyable goes with a copy."""
    client = run.client
    source = run.model("VolumePost", source=run.model("Reference", name=VOLUMES[0]))
    run.one(client.post_volumes(names=["tagged-copy"], volume=source))
    tags = run.ok(client.get_volumes_tags(resource_names=["tagged-copy"]))
    run.same([(item.key, item.value) for item in tags], [("tier", "gold")])


def snapshots(run, tag):
    """A snapshot has the copyable tags of its moment, and takes some of its own."""
    client = run.client
    run.one(client.post_volume_snapshots(
        source_names=VOLUMES[:1], volume_snapshot=run.model("VolumeSnapshotPost", suffix="tags")))
    name = f"{VOLUMES[0]}.tags"
    read = lambda: sorted((item.key, item.value, item.resource.name)
                          for item in run.ok(client.get_volume_snapshots_tags(resource_names=[name])))
    run.same(read(), [("tier", "gold", name)])
    run.ok(client.put_volume_snapshots_tags_batch(resource_names=[name], tag=[tag("kept", "1")]))
    run.same(read(), [("kept", "1", name), ("tier", "gold", name)])
    run.ok(client.delete_volume_snapshots_tags(
        resource_names=[name], keys=["kept"], namespaces=["default"]))
    run.same(len(read()), 1)


def refusals(run, put, tag):
    run.refused(put(["none"], tag("k", "v")), "Volume does not exist.", "none")
    run.refused(put(VOLUMES[:1], tag("k" * 65, "v")),
                "Tag key must be between 1 and 64 characters in length.", "k" * 65)
    run.refused(put(VOLUMES[:1], tag("k", "v" * 257)),
                "Tag value must not exceed 256 characters in length.", "k")
    run.ok(put(VOLUMES[:1], tag("long", "v" * 256)))
    run.ok(run.client.delete_volumes_tags(
        resource_names=VOLUMES[:1], keys=["long"], namespaces=["default"]))
