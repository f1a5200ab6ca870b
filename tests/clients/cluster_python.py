"""Debian's python3-redis as a client that knows the cluster.  usage: cluster_python.py PORT

Writes and reads until "end" comes by standard input, whatever happens to the nodes meanwhile; then every acknowledged write must be there.
"""

import logging
import sys
import threading

import redis
from redis.cluster import RedisCluster

WORKERS = 8
KEYS_EACH = 25
ended = threading.Event()


class Worker(threading.Thread):
    """The only writer of its keys: what is read lies between what was acknowledged last and what was tried last."""

    def __init__(self, port, number):
        super().__init__(daemon=True)
        self.port = port
        self.keys = ["python:%d:%d" % (number, key) for key in range(KEYS_EACH)]
        self.tried = dict.fromkeys(self.keys, 0)
        self.acknowledged = dict.fromkeys(self.keys, 0)
        self.answers = self.errors = 0
        self.wrong = None

    def connect(self):
        return RedisCluster(host="127.0.0.1", port=self.port, socket_timeout=10, cluster_error_retry_attempts=10)

    def run(self):
        client = self.connect()
        turn = 0
        while not ended.is_set() and self.wrong is None:
            key = self.keys[turn % KEYS_EACH]
            turn += 1
            try:
                self.tried[key] += 1
                client.set(key, self.tried[key])
                self.acknowledged[key] = self.tried[key]
                self.check(client, key)
                self.answers += 1
            except (redis.RedisError, OSError) as error:
                self.errors += 1
                last_errors.append("%s: %s" % (type(error).__name__, error))

    def check(self, client, key):
        got = int(client.get(key) or 0)
        if not self.acknowledged[key] <= got <= self.tried[key]:
            self.wrong = "%s is %d, acknowledged was %d, tried %d" % (key, got, self.acknowledged[key], self.tried[key])


last_errors = []


def main():
    logging.disable(logging.CRITICAL)       # it logs every MOVED
    workers = [Worker(int(sys.argv[1]), number) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    while sum(worker.answers for worker in workers) < 10 * WORKERS and not any(worker.wrong for worker in workers):
        ended.wait(0.01)
    print("ready", flush=True)
    sys.stdin.readline()
    ended.set()
    for worker in workers:
        worker.join(30)
        assert not worker.is_alive(), "a request is not answered; errors before: %s" % last_errors[-3:]
        client = worker.connect()
        for key in worker.keys:
            worker.check(client, key)
        assert worker.wrong is None, worker.wrong
    print("%d writes and reads, %d errors (%s)" % (sum(worker.answers for worker in workers),
                                                  sum(worker.errors for worker in workers), last_errors[-1:]))


main()
