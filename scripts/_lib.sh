# Sourced by the scripts beside it: where the checkout is, and a Python that may run it. POSIX sh.
# shellcheck shell=sh
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

# Prints the first Python >= 3.11 found; the checkout's own comes last, for it may be what has to be rebuilt.
find_python() {
    for candidate in python3 python3.13 python3.12 python3.11 "$root/.venv/bin/python"; do
        found=$(command -v "$candidate" 2>/dev/null) || continue
        if "$found" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$found"
            return 0
        fi
    done
    {
        printf '%s: GW-1951 Python 3.11 or newer is needed' "$(basename -- "$0")"
        if command -v python3 >/dev/null 2>&1; then
            printf '; python3 here is %s' "$(python3 -c 'import sys; print(sys.version.split()[0])' 2>/dev/null || echo broken)"
        else
            printf '; there is no python3 here'
        fi
        printf '\n  what to do: sudo apt install python3 python3-venv (Debian 12, Raspberry Pi OS 12 or newer), or brew install python (macOS)\n'
    } >&2
    return 1
}

# Makes or refreshes .venv: `setup runtime` to run a node, `setup dev` to work on it.
setup() {
    python=$(find_python) || exit 1
    (cd -- "$root" && "$python" -m scripts._setup "$@") || exit $?
}
