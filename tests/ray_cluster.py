"""A Ray cluster on this machine, in RAY_TMPDIR: `python ray_cluster.py` prints its address.

Then each line of standard input adds a second node (`add`), or kills it with its workers (`kill`),
and is printed when that is done. The cluster ends with the input.
"""

import sys

NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
"""A core, and about the least memory for objects that Ray accepts; pieces need none."""


def kill(node):
    """Kills the scheduler of a node and its workers, as a loss of power does."""
    import psutil  # which Ray brings

    scheduler = psutil.Process(node.all_processes["raylet"][0].process.pid)
    for process in (scheduler, *scheduler.children()):
        process.kill()


def main():
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line == "add\n":
            node = cluster.add_node(**NODE)
        else:
            kill(node)
            cluster.remove_node(node, allow_graceful=False)
        print(line, end="", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
