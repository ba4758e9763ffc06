"""Contexts, which came with REST 2.38: this array is a fleet of one."""

from harness import MIB


def run(run):
    client = run.client
    if run.minor < 38:
        return  # the version has none of it
    array = run.one(client.get_arrays())
    run.ok(client.post_volumes(
        names=["in-context"], volume=run.model("VolumePost", provisioned=MIB),
        context_names=[array.name]))
    found = run.one(client.get_volumes(names=["in-context"], context_names=[array.name]))
    run.same((found.context.name, found.context.id), (array.name, array.id))
    run.refused(client.get_volumes(context_names=["elsewhere"]),
                "Context does not exist.", "elsewhere")
    some = client.get_volumes(names=["in-context", "none"], allow_errors=True)
    run.same(some.status_code, 207, "status of a part of the answer")
    run.same([item.name for item in some.items], ["in-context"])
    run.same([(error.message, error.context) for error in some.errors],
             [("Volume does not exist.", "none")])
    run.same(some.errors[0].location_context.name, array.name)
