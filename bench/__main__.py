"""Every bench in turn, in one table: `python -m bench`, which is `touchpoint bench all`."""

from bench.command import bench

if __name__ == "__main__":
    bench(["all"], prog_name="touchpoint bench")
