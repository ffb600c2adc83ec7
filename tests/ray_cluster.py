"""A Ray cluster on this machine: `python ray_cluster.py FOLDER` prints its address.

Then each line of standard input adds a second node (`add`), or kills it with its workers (`kill`),
and is printed when that is done. The cluster ends with the input.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress

from ray.cluster_utils import Cluster

NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
"""A core, and about the least memory for objects that Ray accepts; pieces need none."""


def patiently(start):
    """Starts a node; Ray gives up after 30 seconds, which are few on a machine with much to do."""
    for _ in range(2):
        with suppress(Exception):
            return start()
    return start()


def kill(node):
    """Kills the scheduler of a node and its workers, as a loss of power does."""
    scheduler = node.all_processes["raylet"][0].process.pid
    found = subprocess.run(["pgrep", "-P", str(scheduler)], capture_output=True, check=True)
    for pid in (scheduler, *map(int, found.stdout.split())):
        os.kill(pid, signal.SIGKILL)


def main():
    head = {**NODE, "include_dashboard": False, "temp_dir": sys.argv[1]}
    cluster = patiently(lambda: Cluster(initialize_head=True, head_node_args=head))
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line == "add\n":
            node = patiently(lambda: cluster.add_node(**NODE))
        else:
            kill(node)
            cluster.remove_node(node, allow_graceful=False)
        print(line, end="", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
