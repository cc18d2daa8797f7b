#!/bin/bash
# Captures the bundled traces again, with the project's own `mmreplay record`.
#
#   traces/samples/capture.sh [-m MMREPLAY] [-o FOLDER] [NAME…]
#
# Names: python-batch python-service python-graph sqlite3 git cc1 perl redis threads (default: all).
# MMREPLAY defaults to build/release/bin/mmreplay, FOLDER to this one. Installs nothing: missing packages are listed.
# Inputs are what a Debian 12 system and this repository hold; seeds are fixed; times and addresses are not, so two
# captures of the threaded and the networked programs differ in detail.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
mmreplay=$top/build/release/bin/mmreplay
folder=$here
all=(python-batch python-service python-graph sqlite3 git cc1 perl redis threads)

while getopts m:o: option; do
    case $option in
    m) mmreplay=$(realpath "$OPTARG") ;;
    o) folder=$(realpath "$OPTARG") ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
names=("$@")
[ ${#names[@]} -gt 0 ] || names=("${all[@]}")

fail() {
    echo "capture.sh: $*" >&2
    exit 2
}

# needs PROGRAM PACKAGE
missing=()
needs() { command -v "$1" >/dev/null || missing+=("$2"); }
needs /usr/bin/python3 python3
needs sqlite3 sqlite3
needs git git
needs gcc gcc
needs g++ g++
needs perl perl
needs redis-server redis-server
needs redis-benchmark redis-tools
[ ${#missing[@]} -eq 0 ] || fail "missing packages: ${missing[*]} (apt-get install ${missing[*]})"
[ -x "$mmreplay" ] || fail "$mmreplay is missing: ./dev build makes it"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp "$here"/workloads/* "$scratch"
cd "$scratch"
export PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 PERL_HASH_SEED=0 LC_ALL=C.UTF-8 TZ=UTC
unset LD_PRELOAD PYTHONMALLOC PYTHONDEVMODE PYTHONPATH

# record NAME VERSION DESCRIPTION WHY -- COMMAND…
record() {
    local name=$1 version=$2 description=$3 why=$4
    shift 5
    "$mmreplay" record -o "$folder/$name.yaml" --name "$name" --program-version "$version" --description "$description" \
        --provenance "Our own run, made by traces/samples/capture.sh. $why" --licence MIT -- "$@"
}

python_version() { /usr/bin/python3 -c 'import platform; print(platform.python_version())'; }

capture_python_batch() {
    record python-batch "$(python_version)" \
        "Indexes a dozen standard library modules: parses each (ast), scans it (re), checkpoints and reads back the index as JSON." \
        "Chosen for the churn of a batch job in CPython: nearly all requests small, half of all blocks die within a few allocations, whole trees come and go between results that stay." \
        -- /usr/bin/python3 python_batch.py >/dev/null
}

capture_python_service() {
    record python-service "$(python_version)" \
        "An asyncio HTTP/1.1 JSON service and 16 clients in one process on loopback: 4,000 requests and more, an LRU cache with a time to live, sessions that expire." \
        "Chosen for long-lived state under steady churn: cache entries of skewed lifetimes between short-lived request objects, the pattern that pins arenas." \
        -- /usr/bin/python3 python_service.py >/dev/null
}

capture_python_graph() {
    record python-graph "$(python_version)" \
        "Builds five road networks of 8,100 places, cyclic throughout, searches shortest paths, cuts districts out, drops each map; a small index of all of them stays. The cyclic collector is on." \
        "Chosen for high peaks and deep troughs: what the collector frees in bulk, and what the few survivors keep from being given back." \
        -- /usr/bin/python3 python_graph.py >/dev/null
}

capture_sqlite3() {
    /usr/bin/python3 shop_sql.py >shop.sql
    record sqlite3 "$(sqlite3 --version | cut -d' ' -f1)" \
        "The sqlite3 shell runs a shop's day on a database file: 16,000 statements (inserts with a trigger, updates, reports of eight kinds, deletes, ANALYZE, VACUUM, an integrity check)." \
        "Chosen as a C library that prepares and drops many small structures per statement beside a page cache that stays." \
        -- sqlite3 shop.db ".read shop.sql" >/dev/null
}

capture_git() {
    git clone -q --no-local "$top" history
    record git "$(git --version | cut -d' ' -f3)" \
        "git log over this project's own history ($(git -C history rev-list --all --count) commits): patches with whole functions, copies and moved lines found, coloured." \
        "Chosen as a short-lived C tool: object buffers of all sizes, growing strings, much that is never freed before exit." \
        -- git -C history log --all -m -p -W --stat --color --color-moved=zebra -C -C >/dev/null
}

capture_cc1() {
    for file in "$top"/core/pool*.c; do
        echo "#include \"$file\""
    done >pool.c
    gcc -E -P -D_GNU_SOURCE -I"$top" pool.c -o pool.i
    record cc1 "$(gcc -dumpfullversion)" \
        "GCC's C compiler proper (cc1 -O2) on the pool of this project as one preprocessed file of $(wc -l <pool.i) lines." \
        "Chosen as a compiler: obstacks, hash tables and vectors of its passes above a garbage-collected heap taken in large pieces." \
        -- "$(gcc -print-prog-name=cc1)" -quiet -O2 pool.i -o pool.s >/dev/null
}

capture_perl() {
    record perl "$(perl -e 'printf "%vd", $^V')" \
        "Perl reads 50 of its own modules: a word index by file, a table of subs, documentation wrapped to 60 columns, lines grouped by shape." \
        "Chosen as a reference-counted interpreter that takes all from malloc: strings that grow by realloc, hashes of hashes." \
        -- perl text_work.pl 50 >/dev/null
}

capture_redis() {
    local socket=$scratch/redis.sock server
    record redis "$(redis-server --version | sed 's/.* v=\([^ ]*\) .*/\1/')" \
        "redis-server, persistence off, under redis-benchmark on a unix socket: SET, GET, INCR, LPUSH, LPOP, SADD, HSET, ZADD, ZPOPMIN with random keys and 64-byte values, 50 clients." \
        "Chosen as an in-memory server in C: long-lived values that are replaced in random order between short-lived command buffers. Debian links it with jemalloc; recorded in front of it." \
        -- redis-server --port 0 --unixsocket redis.sock --save '' --appendonly no --daemonize no >/dev/null &
    server=$!
    for _ in $(seq 100); do
        redis-cli -s "$socket" ping >/dev/null 2>&1 && break
        sleep 0.1
    done
    redis-benchmark -s "$socket" -q -n 15000 -r 20000 -d 64 -t set,get,incr,lpush,lpop,sadd,hset,zadd,zpopmin >/dev/null
    redis-cli -s "$socket" shutdown nosave || true
    wait "$server"
}

capture_threads() {
    local modules
    modules=$(realpath "$(perl -MConfig -e 'print $Config{privlib}')")
    g++ -O2 -std=c++17 -pthread index_threads.cpp -o index_threads
    record threads "$(gcc -dumpfullversion) (libstdc++)" \
        "A C++ pipeline builds an inverted index of 150 Perl modules: a reader, four tokenisers, a merger; every document and result is made by one thread and freed by another." \
        "Chosen for real hand-over between threads: what a malloc with thread caches must carry home." \
        -- ./index_threads "$modules" 150 >/dev/null
}

for name in "${names[@]}"; do
    function=capture_${name//-/_}
    declare -F "$function" >/dev/null || fail "unknown sample $name; there are: ${all[*]}"
    "$function"
done
