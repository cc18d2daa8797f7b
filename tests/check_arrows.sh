#!/bin/sh
# Includes go down only: cli → {formats, compare} → traces → core. Prints every include that breaks the rule.
# usage: check_arrows.sh SOURCE_DIR
set -eu
cd "$1"

allowed() {
    case $1 in
    core/base/*) echo 'core/base' ;;
    core/*) echo 'core' ;;
    traces/*) echo 'traces|core/base' ;;
    formats/*) echo 'formats|traces|core/base' ;;
    compare/*) echo 'compare|traces|core' ;;
    cli/*) echo 'cli|formats|compare|traces|core' ;;
    esac
}

status=0
for file in $(find core traces formats compare cli -name '*.[ch]' -not -path 'traces/samples/*' | sort); do
    wrong=$(grep -nE '^#include "' "$file" | grep -vE "\"($(allowed "$file"))/" || true)
    if [ -n "$wrong" ]; then
        printf '%s: may include only (%s):\n%s\n' "$file" "$(allowed "$file")" "$wrong"
        status=1
    fi
done

twice=$(find core traces formats compare cli tests -name '*.[ch]' -not -path 'traces/samples/*' -printf '%f\n' | sort | uniq -d)
if [ -n "$twice" ]; then
    printf 'file names must be unique in the tree: %s\n' "$twice"
    status=1
fi
exit $status
