"""The world of a seed, written to its end."""

from tests.worlds.changing import ChangingWriter
from tests.worlds.world import World, bare_world
from tests.worlds.writer import Writer


def written_world(seed: int, decisions: int) -> World:
    """The world of a seed, with a script of at least so many decisions and the oracle's answers."""
    world = bare_world(seed)
    writer = ChangingWriter(world) if world.shape.changing else Writer(world)
    writer.write(decisions)
    return world
