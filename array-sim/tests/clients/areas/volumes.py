"""Volumes from their creation to their eradication, and the texts of what is refused meanwhile."""

from harness import MIB

GIB = 1 << 30


def run(run):
    names_and_sizes(run)
    limits(run)
    life(run)
    copies(run)


def names_and_sizes(run):
    client, volume = run.client, lambda **values: run.model("VolumePost", **values)
    made = run.one(client.post_volumes(names=["v1"], volume=volume(provisioned=GIB)))
    run.same((made.name, made.provisioned, made.destroyed), ("v1", GIB, False))
    run.check(len(made.serial) == 24 and made.serial == made.serial.upper(), made.serial)
    run.same(made.subtype, "regular")
    run.same(made.to_dict()["source"], {})
    run.same(made.connection_count, 0)
    three = client.post_volumes(names=["v2", "v3", "v4"], volume=volume(provisioned=2 * MIB))
    run.same(run.names(three), ["v2", "v3", "v4"])
    run.same(run.names(client.get_volumes(names=["v3", "v1"])), ["v1", "v3"])
    run.same(run.one(client.get_volumes(ids=[made.id])).name, "v1")
    run.same(run.one(client.get_volumes(references=made)).serial, made.serial)
    smallest = run.one(client.post_volumes(names=["small"], volume=volume(provisioned=512)))
    run.same(smallest.provisioned, MIB)
    run.same(run.one(client.post_volumes(names=["default"], volume=volume())).provisioned, MIB)
    refused = lambda name, /, **values: client.post_volumes(names=[name], volume=volume(**values))
    run.refused(refused("V1", provisioned=MIB), "Volume already exists.", "v1")
    run.refused(
        refused("-bad", provisioned=MIB),
        "Volume name must be between 1 and 63 characters (alphanumeric, '_' and '-') in length"
        " and begin and end with a letter or number.", "-bad")
    run.refused(refused("odd", provisioned=MIB + 1),
                "Volume size must be a multiple of 512 bytes.")
    run.refused(client.get_volumes(names=["v1", "none"]), "Volume does not exist.", "none")
    both = client.get_volumes(names=["none-1", "none-2"])
    run.refused(both, "Volume does not exist.", "none-1")
    run.same([error.context for error in both.errors], ["none-1", "none-2"])
    run.refused(client.get_volumes(ids=["no-such-id"]), "Volume does not exist.", "no-such-id")
    wildcard = client.get_volumes(names=["v*"])
    run.refused(wildcard, "Volume does not exist.", "v*")
    endpoint = run.one(client.post_volumes(names=["pe"], volume=volume(subtype="protocol_endpoint")))
    run.same(endpoint.subtype, "protocol_endpoint")


def limits(run):
    client, patch = run.client, lambda **values: run.model("VolumePatch", **values)
    qos = run.model("Qos", bandwidth_limit=100 * MIB, iops_limit=5000)
    made = run.one(client.post_volumes(
        names=["limited"], volume=run.model("VolumePost", provisioned=GIB, qos=qos)))
    run.same((made.qos.bandwidth_limit, made.qos.iops_limit), (100 * MIB, 5000))
    change = patch(qos=run.model(
        "QosPatch",
        bandwidth_limit=run.model("QosBandwidthLimitPatch", 200 * MIB),
        iops_limit=run.model("QosIopsLimitPatch", "")))
    changed = run.one(client.patch_volumes(names=["limited"], volume=change))
    run.same(changed.qos.bandwidth_limit, 200 * MIB)
    run.same("iops_limit" in changed.qos.to_dict(), False, "a limit that was taken away")
    found = run.names(client.get_volumes(filter="qos.bandwidth_limit>104857600"))
    run.same(found, ["limited"])
    if run.minor >= 11:
        priority = run.model(
            "PriorityAdjustment", priority_adjustment_operator="+", priority_adjustment_value=10)
        raised = client.patch_volumes(names=["limited"], volume=patch(priority_adjustment=priority))
        run.same(run.one(raised).priority, 10)


def life(run):
    client, patch = run.client, lambda **values: run.model("VolumePatch", **values)
    change = lambda name, /, **values: client.patch_volumes(names=[name], volume=patch(**values))
    before = run.one(client.get_volumes(names=["v2"]))
    renamed = run.one(change("v2", name="renamed"))
    run.same((renamed.name, renamed.id, renamed.serial), ("renamed", before.id, before.serial))
    run.refused(change("v2", name="other"), "Volume does not exist.", "v2")
    run.refused(change("renamed", name="V3"), "Volume already exists.", "v3")
    run.same(run.one(change("renamed", provisioned=8 * MIB)).provisioned, 8 * MIB)
    run.refused(change("renamed", provisioned=4 * MIB),
                "Implicit truncation not permitted.", "renamed")
    shrunk = client.patch_volumes(
        names=["renamed"], volume=patch(provisioned=4 * MIB), truncate=True)
    run.same(run.one(shrunk).provisioned, 4 * MIB)
    demoted = run.one(change("renamed", requested_promotion_state="demoted"))
    run.same(demoted.promotion_status, "demoted")
    run.one(change("renamed", requested_promotion_state="promoted"))
    run.refused(change("renamed", name="x", destroyed=True),
                "Invalid combination of parameters specified.")
    run.refused(client.delete_volumes(names=["renamed"]),
                "Volume has not been destroyed.", "renamed")
    gone = run.one(change("renamed", destroyed=True))
    run.check(0 < gone.time_remaining <= 86_400_000, "time_remaining of a destroyed volume")
    run.refused(change("renamed", destroyed=True), "Volume has been deleted.", "renamed")
    run.same(run.one(client.get_volumes(names=["renamed"], destroyed=True)).id, before.id)
    run.refused(client.get_volumes(names=["renamed"], destroyed=False),
                "Volume does not exist.", "renamed")
    run.check("renamed" in run.names(client.get_volumes()), "destroyed volumes are listed")
    run.refused(
        client.post_volumes(names=["renamed"], volume=run.model("VolumePost", provisioned=MIB)),
        "Volume already exists.", "renamed")
    back = run.one(change("renamed", destroyed=False))
    run.same(back.destroyed, False)
    run.same("time_remaining" in back.to_dict(), False, "time_remaining of a live volume")
    run.one(change("renamed", destroyed=True))
    run.ok(client.delete_volumes(names=["renamed"]))
    run.refused(client.get_volumes(names=["renamed"]), "Volume does not exist.", "renamed")


def copies(run):
    client = run.client
    source = run.one(client.get_volumes(names=["v1"]))
    copy = lambda name, /, **more: client.post_volumes(
        names=[name], volume=run.model("VolumePost", source=run.model("Reference", name="v1")), **more)
    made = run.one(copy("copy"))
    run.same((made.provisioned, made.source.name, made.source.id), (GIB, "v1", source.id))
    run.check(made.serial != source.serial, "a copy has a serial of its own")
    run.refused(copy("copy"), "Volume already exists.", "copy")
    again = run.one(copy("copy", overwrite=True))
    run.same((again.id, again.serial), (made.id, made.serial), "an overwritten volume")
    by_id = run.model("VolumePost", source=run.model("Reference", id=source.id))
    run.same(run.one(client.post_volumes(names=["copy-2"], volume=by_id)).source.name, "v1")
    nothing = run.model("VolumePost", source=run.model("Reference", name="none"))
    refused = client.post_volumes(names=["copy-3"], volume=nothing)
    run.refused(refused, "No such volume or snapshot.", "none")
    if run.minor >= 16:
        default = run.model("VolumePost", provisioned=MIB)
        protected = client.post_volumes(
            names=["protected"], volume=default, with_default_protection=False)
        run.same(run.one(protected).name, "protected")
        run.refused(copy("copy", overwrite=True, with_default_protection=False),
                    "Invalid combination of parameters specified.")
