#!/usr/bin/env bats
# The ways in which a Python comes to run: through environments, wrappers, and inside other programs.

setup() {
    load helpers
    cd "$BATS_TEST_TMPDIR" || return
    unset PYTHONMALLOC PYTHONDEVMODE
    python=$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null) || skip "no python3"
    run_split record -o plain.yaml -- "$python" -c "$script"
    grep -q '^  interpreter: CPython 3' plain.yaml || skip "no python3 that can be recorded: $errors"
}

script='x = [str(i) for i in range(20000)]'

# is_of_cpython TRACE: with its small objects
is_of_cpython() {
    grep -q '^  interpreter: CPython 3' "$1"
    [ "$(sed -n 's/^    obj: //p' "$1")" -gt 20000 ]
    run_split check "$1"
    [ "$status" -eq 0 ]
}

@test "a virtual environment's python is recorded" {
    "$python" -m venv --without-pip environment || skip "this python3 makes no virtual environments"
    run_split record -o venv.yaml -- environment/bin/python -c "$script; import sys; print(sys.prefix)"
    [ "$status" -eq 0 ]
    [ "$output" = "$PWD/environment" ]
    is_of_cpython venv.yaml
}

@test "a link to a python, with what marks a virtual environment beside it, is recorded" {
    mkdir -p linked/bin linked/lib
    ln -s "$(readlink -f "$python")" linked/bin/python3
    printf 'home = %s\n' "$(dirname "$(readlink -f "$python")")" >linked/pyvenv.cfg
    run_split record -o linked.yaml -- linked/bin/python3 -c "$script; import sys; print(sys.prefix)"
    [ "$status" -eq 0 ]
    [ "$output" = "$PWD/linked" ]
    is_of_cpython linked.yaml
}

# As pyenv's are: a script that works out which python is meant, with programs of its own, and becomes it.
@test "a wrapper script that chooses a python is followed to it" {
    mkdir shims
    cat >shims/python3 <<'END'
#!/usr/bin/env bash
set -e
program=$(basename "$0")
exec "$(dirname "$CHOSEN_PYTHON")/$program" "$@"
END
    chmod +x shims/python3
    export CHOSEN_PYTHON=$python
    PATH=$PWD/shims:$PATH run_split record -o shim.yaml -- python3 -c "$script"
    [ "$status" -eq 0 ]
    [[ "$errors" == *"replaced itself by exec 2 times; the trace is that of $(readlink -f "$python")"* ]]
    is_of_cpython shim.yaml
}

@test "a script whose first line asks env for its python is recorded" {
    printf '#!/usr/bin/env python3\n%s\n' "$script" >run.py
    chmod +x run.py
    PATH=$(dirname "$python"):$PATH run_split record -o script.yaml -- ./run.py
    [ "$status" -eq 0 ]
    is_of_cpython script.yaml
}

# The first libpython of 3.8 or newer in MMREPLAY_LIBPYTHON_DIRS.
libpython_find() {
    local folder folders
    IFS=: read -r -a folders <<<"${MMREPLAY_LIBPYTHON_DIRS:-}"
    for folder in "${folders[@]}"; do
        find "$folder" -maxdepth 1 -regex '.*/libpython3\.\([89]\|1[0-9]\)\.so\.1\.0'
    done | head -n 1
}

@test "a program that is linked to libpython is recorded as CPython" {
    library=$(libpython_find)
    [ -n "$library" ] || skip "no libpython here; name directories of some in MMREPLAY_LIBPYTHON_DIRS"
    command -v cc >/dev/null || skip "no C compiler"
    cat >embed.c <<'END'
void Py_InitializeEx(int);
int PyRun_SimpleString(const char *);
int Py_FinalizeEx(void);
int main(int argc, char **argv) {
    Py_InitializeEx(0);
    return argc != 2 || PyRun_SimpleString(argv[1]) || Py_FinalizeEx();
}
END
    cc -o embed embed.c "$library" -Wl,-rpath,"$(dirname "$library")"
    run_split record -o linked.yaml -- ./embed "$script"
    [ "$status" -eq 0 ]
    is_of_cpython linked.yaml
    run_split record --python=malloc -o malloc.yaml -- ./embed "$script"
    [ "$status" -eq 0 ]
    [ -z "$(sed -n 's/^    obj: //p' malloc.yaml)" ]
}
