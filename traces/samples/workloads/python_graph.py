"""Build and drop a big object graph with cycles, several times over, with the cyclic collector on.

A road network: places know their roads, roads know their places (cycles everywhere), districts are cut out, shortest
paths are searched, and whole maps are dropped while a few places of each survive in a long-lived index.
"""
import gc
import heapq
import random

MAPS = 5
SIDE = 90


class Place:
    def __init__(self, network, x, y):
        self.network = network
        self.position = (x, y)
        self.name = "place %d/%d" % (x, y)
        self.roads = []
        self.visits = {}


class Road:
    __slots__ = ("start", "end", "length", "notes")

    def __init__(self, start, end, length):
        self.start, self.end, self.length = start, end, length
        self.notes = None
        start.roads.append(self)
        end.roads.append(self)


class Network:
    def __init__(self, side, source):
        self.places = {(x, y): Place(self, x, y) for x in range(side) for y in range(side)}
        for (x, y), place in self.places.items():
            for neighbour in ((x + 1, y), (x, y + 1)):
                if neighbour in self.places and source.random() < 0.9:
                    Road(place, self.places[neighbour], source.uniform(1, 10))

    def shortest(self, start, goal):
        distances = {start: 0.0}
        queue = [(0.0, 0, start)]
        order = 0
        while queue:
            distance, _, place = heapq.heappop(queue)
            if place is goal:
                return distance
            if distance > distances[place]:
                continue
            for road in place.roads:
                other = road.end if road.start is place else road.start
                reached = distance + road.length
                if reached < distances.get(other, float("inf")):
                    distances[other] = reached
                    order += 1
                    heapq.heappush(queue, (reached, order, other))
        return None

    def district_drop(self, x0, y0, size):
        for x in range(x0, x0 + size):
            for y in range(y0, y0 + size):
                place = self.places.pop((x, y), None)
                for road in list(place.roads) if place else ():
                    other = road.end if road.start is place else road.start
                    if other.position in self.places:
                        other.roads.remove(road)


def main():
    source = random.Random(11)
    index = {}  # outlives the maps: what pins memory after they are gone
    found = 0
    for number in range(MAPS):
        network = Network(SIDE, source)
        for _ in range(6):
            start, goal = source.sample(sorted(network.places), 2)
            length = network.shortest(network.places[start], network.places[goal])
            found += length is not None
            network.places[goal].visits[start] = [length, "from %d/%d" % start]
        for _ in range(8):
            network.district_drop(source.randrange(SIDE), source.randrange(SIDE), 12)
        for position in source.sample(sorted(network.places), 50):
            place = network.places[position]
            index[number, position] = {"name": place.name, "roads": [road.length for road in place.roads]}
    del network
    print(found, len(index), gc.collect(), [g["collections"] for g in gc.get_stats()])


main()
