"""From listings to the store, and to passes."""

from typing import Any

from kubeswarm_operator.feed import Feed
from kubeswarm_operator.observe.store import Key, Store
from kubeswarm_operator.queue import WorkQueue
from kubeswarm_operator.resources import CONFIG_MAPS, SERVICES, WATCHED


def item(name: str, version: int = 1) -> dict[str, Any]:
    """As a listing has it: without kind and apiVersion."""
    labels = {"kubeswarm.dev/node": "light-0"}
    meta = {"namespace": "ns", "name": name, "uid": name, "resourceVersion": str(version), "labels": labels}
    return {"metadata": meta}


class Fed:
    def __init__(self, *namespaces: str) -> None:
        self.store = Store()
        self.nodes: WorkQueue[Key] = WorkQueue()
        self.feed = Feed(self.store, WorkQueue(), self.nodes, list(namespaces))

    def names(self) -> set[str]:
        return {body["metadata"]["name"] for body in self.store.all(SERVICES)}


async def test_a_listing_in_parts_is_taken_in_and_what_it_lacks_at_its_end_is_forgotten() -> None:
    fed, path = Fed(), SERVICES.path()
    fed.feed.listed(path, [item("stays"), item("goes")], "2", begins=True, ends=True)
    fed.feed.watching("services", path)
    assert fed.store.get(SERVICES, "ns", "stays") == {**item("stays"), "apiVersion": "v1", "kind": "Service"}
    fed.feed.listed(path, [item("new", 3)], "4", begins=True, ends=False)
    assert fed.names() == {"stays", "goes", "new"}, "the rest is to come"
    assert fed.store.may_be_old(SERVICES)
    fed.store.put(SERVICES, item("written-meanwhile", 5))
    fed.feed.listed(path, [item("stays")], "4", begins=False, ends=True)
    assert fed.names() == {"stays", "new", "written-meanwhile"}
    assert await fed.nodes.get() == ("ns", "light-0")
    assert fed.store.may_be_old(SERVICES), "until a watch begins, nobody tells of changes"
    fed.feed.watching("services", path)
    assert not fed.store.may_be_old(SERVICES)


async def test_a_listing_that_begins_again_starts_from_nothing() -> None:
    fed, path = Fed(), SERVICES.path()
    fed.feed.listed(path, [item("goes")], "2", begins=True, ends=False)
    fed.feed.listed(path, [item("stays")], "3", begins=True, ends=True)
    assert fed.names() == {"stays"}


async def test_a_listing_of_one_namespace_says_nothing_of_another() -> None:
    fed = Fed("ns", "other")
    fed.feed.listed(SERVICES.path("ns"), [item("stays")], "2", begins=True, ends=True)
    fed.feed.listed(SERVICES.path("other"), [], "3", begins=True, ends=True)
    assert fed.names() == {"stays"}


async def test_what_is_not_watched_is_left_to_others() -> None:
    assert Fed().feed.takes(SERVICES.path())
    assert not Fed().feed.takes("/api/v1/events")
    assert not Fed("ns").feed.takes(CONFIG_MAPS.path())


async def test_a_change_and_an_end_are_taken_in_and_bring_passes() -> None:
    fed, path = Fed(), SERVICES.path()
    for change, version, left in (("ADDED", 1, {"it"}), ("MODIFIED", 2, {"it"}), ("DELETED", 3, set())):
        fed.feed.told(path, change, item("it", version))
        assert fed.names() == left
        assert await fed.nodes.get() == ("ns", "light-0")
        fed.nodes.done(("ns", "light-0"), ok=True)
        fed.nodes.forget(("ns", "light-0"))


async def test_all_is_known_once_every_resource_was_listed_in_every_namespace() -> None:
    fed = Fed("a", "b")
    places = [resource.path(namespace) for resource in WATCHED for namespace in ("a", "b")]
    for path in places:
        assert not fed.feed.complete.is_set()
        fed.feed.listed(path, [], "1", begins=True, ends=False)
        assert not fed.feed.complete.is_set()
        fed.feed.listed(path, [], "1", begins=False, ends=True)
    assert fed.feed.complete.is_set()
