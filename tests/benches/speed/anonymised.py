"""What anonymised.rs is compared with: anjana and umbra-k on the same folder. Prints processor seconds, seconds, peak MiB, loss,
suppressed rows, classes and a zero, in the order that anonymised.rs reads."""

import re
import resource
import sys
import time

import pandas as pd

which, folder, k, suppression = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
columns = open(f"{folder}/columns.txt").read().split("\n")
quasi, sensitive = columns[:-1], columns[-1]
table = pd.read_csv(f"{folder}/table.csv", sep=";", dtype=str, keep_default_na=False)
paths = {name: [line.rstrip("\n").split(";") for line in open(f"{folder}/hierarchy_{name}.csv") if line.strip()] for name in quasi}


def measured(work):
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    result = work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return result, time.perf_counter() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, after.ru_maxrss / 1024


def leaves_below(name):
    """How many leaves each value of a hierarchy stands for."""
    below = {}
    for path in paths[name]:
        for level in range(len(path)):
            below.setdefault((level, path[level]), set()).add(path[0])
    count = {}
    for (_, value), leaves in below.items():
        count[value] = max(count.get(value, 0), len(leaves))
    return count


if which == "anjana":
    from anjana.anonymity import k_anonymity

    hierarchies = {}
    for name in quasi:
        found = set(table[name])
        held = [path for path in paths[name] if path[0] in found]
        hierarchies[name] = {level: pd.Series([path[level] for path in held]).values for level in range(len(held[0]))}
    released, wall, cpu, peak = measured(lambda: k_anonymity(table, [], quasi, k, 100 * suppression, hierarchies))
    lost = {name: leaves_below(name) for name in quasi}
    cell = lambda name, value: 0 if lost[name][value] == 1 else lost[name][value] / len(paths[name])
else:
    from umbra_k import MondrianAnonymizer

    # Text codes are ordered as texts; umbra-k writes a class as a set of texts.
    released, wall, cpu, peak = measured(lambda: MondrianAnonymizer(k, quasi).fit(table[quasi]).transform(table[quasi]))
    sizes = {name: len(paths[name]) for name in quasi}

    def cell(name, value):
        parts = len(re.split(r",(?=\S)", str(value)))
        return 0 if parts == 1 else parts / sizes[name]


suppressed = len(table) - len(released)
total = suppressed * len(quasi)
for name in quasi:
    counts = released[name].value_counts()
    total += sum(cell(name, value) * rows for value, rows in counts.items())
classes = len(released[quasi].astype(str).drop_duplicates())
print(cpu, wall, peak, total / (len(table) * len(quasi)), suppressed, classes, 0)
