"""Shares the jobs of an ablation out to HyperQueue workers (pip install hyperqueue).

    python ablate_hyperqueue.py ablation.ron results --workers 2 --cores 1
    python ablate_hyperqueue.py ablation.ron results --server /shared/hq-server

Without --server, a server and workers are started in this process. Whatever dies on the way, this process included: the same command goes on,
since a finished job is not done again and a killed one goes on from its checkpoint.
"""

import argparse
import json
import subprocess
import sys

from hyperqueue import Client, Job, LocalCluster
from hyperqueue.cluster import WorkerConfig
from hyperqueue.task.task import ResourceRequest


def submit(client, arguments):
    plan = subprocess.run([arguments.sward, "ablate", "plan", arguments.ablation], check=True, capture_output=True, text=True)
    jobs = [json.loads(line) for line in plan.stdout.splitlines()]
    tasks = Job()
    for job in jobs:
        tasks.program(
            [arguments.sward, "ablate", "run", arguments.ablation, "--output", arguments.output, "--index", str(job["index"]),
             "--threads", str(arguments.cores), "--quiet"],
            name=f"{job['name']}, seed {job['seed']}, fold {job['fold']}",
            resources=ResourceRequest(cpus=arguments.cores),
            crash_limit=10,
        )
    return client.wait_for_jobs([client.submit(tasks)], raise_on_error=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ablation")
    parser.add_argument("output")
    parser.add_argument("--server", help="the directory of a running server; its workers are used")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cores", type=int, default=1, help="processors of a job")
    parser.add_argument("--sward", default="sward")
    arguments = parser.parse_args()
    if arguments.server:
        is_whole = submit(Client(arguments.server), arguments)
    else:
        with LocalCluster() as cluster:
            for _ in range(arguments.workers):
                cluster.start_worker(WorkerConfig(cores=arguments.cores))
            is_whole = submit(cluster.client(), arguments)
    print(subprocess.run([arguments.sward, "ablate", "table", arguments.output], check=True, capture_output=True, text=True).stdout, end="")
    sys.exit(0 if is_whole else 1)


if __name__ == "__main__":
    main()
