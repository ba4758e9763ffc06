"""Filters, sorting, pages and counts, as the client sends them and as it pages by itself."""

from harness import MIB
from pypureclient import Filter
from pypureclient.properties import Property

ALL = [f"list-{number:02}" for number in range(25)]


def run(run):
    client = run.client
    for number, name in enumerate(ALL):
        post = run.model("VolumePost", provisioned=(1 + number % 5) * MIB)
        run.one(client.post_volumes(names=[name], volume=post))
    gone = run.model("VolumePatch", destroyed=True)
    run.ok(client.patch_volumes(names=ALL[-2:], volume=gone))
    filters(run)
    pages(run)
    totals(run)


def filters(run):
    client = run.client
    named = lambda text: run.names(client.get_volumes(filter=text))
    expected = {
        "name='list-03'": ALL[3:4],
        'name="list-03"': ALL[3:4],
        "name=('list-03','list-05','none')": [ALL[3], ALL[5]],
        "name='list-0*'": ALL[:10],
        "name='list-*4'": [ALL[4], ALL[14], ALL[24]],
        "name='list-*' and destroyed": ALL[-2:],
        "name='list-*' and destroyed='true'": ALL[-2:],
        "name='list-2*' and not destroyed": ALL[20:23],
        "name='list-2*' and not(destroyed)": ALL[20:23],
        "name='list-*' and provisioned>4194304": ALL[4::5],
        "name='list-*' and provisioned>=4194304 and provisioned!=5242880": ALL[3::5],
        "name='list-0*' and (name='list-01' or provisioned=3145728)": [ALL[1], ALL[2], ALL[7]],
        "name='list-01' or name='list-02' and destroyed": [ALL[1]],
        "contains(name,'st-1') and provisioned<2097152": [ALL[10], ALL[15]],
        "name='list-*' and time_remaining": ALL[-2:],
        "name='list-*' and source.name": [],
        "name='list-*' and pod.name='none'": [],
        "name='none'": [],
    }
    for text, names in expected.items():
        run.same(named(text), names, f"filter {text}")
    built = Filter.and_(
        Filter.eq(Property("name"), "list-0*"), Filter.gt(Property("provisioned"), 4 * MIB))
    run.same(run.names(client.get_volumes(filter=built)), ["list-04", "list-09"], "filter object")
    for bad in ("name=", "name='a' and", "nosuch='x'", "name='a", "(name='a'"):
        refused = client.get_volumes(filter=bad)
        run.check(refused.status_code == 400, f"filter {bad} is accepted")
        run.check(refused.errors[0].message.startswith("Invalid filter"), refused.errors[0].message)


def pages(run):
    client, some = run.client, "name='list-*'"
    listed = client.get_volumes(filter=some, limit=10)
    run.same((listed.more_items_remaining, listed.total_item_count), (True, None))
    run.check(listed.continuation_token, "a token where more remains")
    run.same(run.names(listed), ALL[:10])
    if run.minor >= 26:
        token, found = None, []
        while True:
            page = client.get_volumes(filter=some, limit=10, continuation_token=token)
            found += run.names(page)
            token = page.continuation_token
            run.same(page.more_items_remaining, token is not None, "more_items_remaining")
            if token is None:
                break
        run.same(found, ALL, "pages by token")
        bad = client.get_volumes(filter=some, continuation_token="bm8")
        run.same(bad.status_code, 400, "a made-up token")
    run.same(run.names(client.get_volumes(filter=some, limit=10, offset=20)), ALL[20:], "offset")
    backwards = client.get_volumes(filter=some, sort=["name-"], limit=10)
    run.same((backwards.continuation_token, backwards.more_items_remaining), (None, True))
    run.same(run.names(backwards), ALL[:-11:-1], "sorted")
    rest = client.get_volumes(filter=some, sort=["name-"], limit=10, offset=20)
    run.same(run.names(rest), ALL[4::-1], "sorted, by offset")
    by_two = run.ok(client.get_volumes(filter=some, sort=["provisioned-", "name"], limit=7))
    run.same([item.name for item in by_two], ALL[4::5] + ALL[3:9:5], "sorted by two")
    run.same(client.get_volumes(sort=["nosuch"]).status_code, 400, "a sort by nothing")
    by_itself = run.connect(auto_pagination_limit=4)
    run.same([item.name for item in by_itself.get_volumes(filter=some).items], ALL, "auto pages")
    sorted_pages = by_itself.get_volumes(filter=some, sort=["name-"])
    run.same([item.name for item in sorted_pages.items], ALL[::-1], "auto pages, sorted")


def totals(run):
    client, some = run.client, "name='list-*'"
    counted = client.get_volumes(filter=some, limit=10, total_item_count=True)
    run.same((counted.total_item_count, len(run.ok(counted))), (25, 10))
    none = client.get_volumes(filter=some, limit=0)
    run.same((none.total_item_count, run.ok(none)), (25, []))
    only = client.get_volumes(filter=some, total_only=True)
    run.same(run.ok(only), [])
    run.same(only.total[0].provisioned, sum((1 + n % 5) * MIB for n in range(25)), "total")
    live = client.get_volumes(filter=some, destroyed=False, total_item_count=True)
    run.same(live.total_item_count, 23)
    run.same(run.names(client.get_volumes(filter=some, destroyed=True)), ALL[-2:])
    space = run.ok(client.get_volumes_space(names=ALL[:2]))
    run.same([line.name for line in space], ALL[:2])
    run.same(space[1].space.total_provisioned, 2 * MIB)
