#!/bin/sh
# check_what_if_order.sh MMREPLAY TRACE…: on traffic of CPython programs, larger classes, pools and arenas, and arenas that
# are not aligned, hold more arena bytes for the same live bytes, in this order.
set -eu

mmreplay=$1
shift
sizes='pool:3.11,arena=256K,pool=4K,align=8,pool:3.11,arena=256K,pool=4K,pool:3.11,pool:3.11,residues=0x1000+0x3000+0'
sizes="$sizes,pool:3.11,arena=2M,pool:3.11,arena=4M,pool=64K"

for trace in "$@"; do
    "$mmreplay" replay -n 1 -a "$sizes" --json - "$trace" 2>/dev/null |
        jq -re '.traces[0] | .name as $name | [.allocators[] | select(.settings.text)] |
            (.[] | "\($name)  \(.metrics.arena_frag_avg_ratio.value * 1000 | round / 1000)  \(.settings.text)"),
            ([.[].metrics.arena_frag_avg_ratio.value] | length == 6 and . == sort)' | tee /dev/stderr | tail -1 | grep -qx true
done
