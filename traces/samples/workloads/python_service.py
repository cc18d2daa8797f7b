"""A long-lived HTTP service and its clients in one process: asyncio on loopback, JSON in and out, a cache that churns.

The server keeps an LRU cache with a time to live, sessions that expire, and a log of the last requests; keys follow a
skewed distribution, so that some entries live for the whole run and most are evicted soon.
"""
import asyncio
import collections
import json
import random

REQUESTS = 4000
CLIENTS = 16
CACHE_SIZE = 800
KEYS = 20000


class Cache:
    def __init__(self, size):
        self.size = size
        self.entries = collections.OrderedDict()
        self.hits = self.misses = 0

    def get(self, key, now):
        entry = self.entries.get(key)
        if entry is None or entry["until"] < now:
            self.misses += 1
            return None
        self.entries.move_to_end(key)
        self.hits += 1
        return entry["value"]

    def put(self, key, value, until):
        self.entries[key] = {"value": value, "until": until, "tags": [key, "v%d" % (until % 7)]}
        self.entries.move_to_end(key)
        while len(self.entries) > self.size:
            self.entries.popitem(last=False)


class Service:
    def __init__(self):
        self.cache = Cache(CACHE_SIZE)
        self.sessions = {}
        self.log = collections.deque(maxlen=500)
        self.clock = 0

    def product(self, key):
        source = random.Random(key)
        return {
            "id": key,
            "name": "product %d" % key,
            "price": round(source.uniform(1, 500), 2),
            "tags": [source.choice("red green blue small large new used".split()) for _ in range(source.randrange(8))],
            "reviews": [{"stars": source.randrange(1, 6), "text": "word " * source.randrange(1, 40)}
                        for _ in range(source.randrange(6))],
        }

    def answer(self, method, path, body):
        self.clock += 1
        user, _, key = path.strip("/").partition("/")
        session = self.sessions.setdefault(user, {"seen": [], "basket": {}, "since": self.clock})
        if self.clock % 97 == 0:
            self.sessions = {name: kept for name, kept in self.sessions.items() if self.clock - kept["since"] < 2000}
        if method == "POST":
            for line in json.loads(body)["lines"]:
                session["basket"][line["id"]] = line["count"]
            return {"basket": session["basket"], "count": len(session["basket"])}
        value = self.cache.get(key, self.clock)
        if value is None:
            value = json.dumps(self.product(int(key)))
            self.cache.put(key, value, self.clock + 3000)
        session["seen"] = (session["seen"] + [key])[-20:]
        return {"product": json.loads(value), "seen": session["seen"]}

    async def serve(self, reader, writer):
        while True:
            request = await reader.readline()
            if not request:
                break
            method, path, _ = request.decode().split(" ", 2)
            headers = {}
            while (line := await reader.readline()) not in (b"\r\n", b""):
                name, _, text = line.decode().partition(":")
                headers[name.lower()] = text.strip()
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.log.append((method, path, headers.get("user-agent")))
            data = json.dumps(self.answer(method, path, body)).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data))
            writer.write(data)
            await writer.drain()
        writer.close()


async def client(number, port, budget):
    source = random.Random(number)
    total = 0
    while budget[0] > 0:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(source.randrange(20, 200)):  # requests on one connection
            budget[0] -= 1
            key = int(KEYS ** source.random())
            user = "user%d" % int(400 ** source.random())
            body = b""
            if source.random() < 0.2:
                lines = [{"id": source.randrange(KEYS), "count": source.randrange(9)} for _ in range(5)]
                body = json.dumps({"lines": lines}).encode()
            head = "%s /%s/%d HTTP/1.1\r\nHost: localhost\r\nUser-Agent: client/%d\r\nContent-Length: %d\r\n\r\n" % (
                "POST" if body else "GET", user, key, number, len(body))
            writer.write(head.encode() + body)
            length = 0
            while (line := await reader.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            total += len(json.loads(await reader.readexactly(length)))
        writer.close()
        await writer.wait_closed()
    return total


async def main():
    service = Service()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    budget = [REQUESTS]
    totals = await asyncio.gather(*(client(number, port, budget) for number in range(CLIENTS)))
    server.close()
    await server.wait_closed()
    print(sum(totals), service.clock, service.cache.hits, service.cache.misses, len(service.sessions))


asyncio.run(main())
