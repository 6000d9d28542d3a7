# What the `prepare` scripts of the tests have in common; sourced by them. Nothing is installed outside of the target
# directory, but for Debian's packages where a script says so; what is there already is kept, so only the first time takes the network. A thing is ready when
# $directory.ready is there, which says what it is; else $directory.skipped says why not, as the last line of the output does.
# shellcheck shell=bash

target=${CARGO_TARGET_DIR:-$sources/../../target}
LIMIT=180s

cannot() { # cannot WHY
    rm -f "$directory.ready"
    echo "$1" | tee "$directory.skipped"
    exit 1
}

needs() { # needs COMMAND…
    local command
    for command in "$@"; do
        command -v "$command" >/dev/null || cannot "there is no $command"
    done
}

install() { # install WHAT COMMAND…: with a limit, since a registry that hangs must not hold the tests
    local what=$1 log=$directory.log status=0
    shift
    timeout "$LIMIT" "$@" >"$log" 2>&1 || status=$?
    case $status in
        0) ;;
        124) cannot "$what did not end within $LIMIT" ;;
        *) cannot "$what failed: $(grep -i error "$log" | grep -v 'complete log' | tail -1 | cut -c1-200)" ;;
    esac
}

debian() { # debian COMMAND:PACKAGE…: installs what brings the commands that are missing, where this is Debian's and root's
    local missing=() pair
    for pair in "$@"; do
        command -v "${pair%:*}" >/dev/null || missing+=("${pair#*:}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || cannot "${missing[*]} not installed, and installing takes root"
    needs apt-get
    install "apt-get update" apt-get -qq update
    # Another one may be at it.
    install "apt-get install ${missing[*]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "${missing[@]}"
}

prepare_venv() { # prepare_venv WHAT CHECK: a virtual environment with $sources/requirements.txt, unless it is there and CHECK holds
    local what=$1 check=$2
    needs python3
    if ! cmp -s "$sources/requirements.txt" "$directory/installed" || ! "$check" >/dev/null 2>&1; then
        install "making a virtual environment" python3 -m venv --clear "$directory"
        install "pip install $what" "$directory/bin/python3" -m pip install --disable-pip-version-check \
            --retries 1 --requirement "$sources/requirements.txt"
        cp "$sources/requirements.txt" "$directory/installed"
    fi
    "$check" || cannot "$what cannot be imported"
}

prepare() { # prepare COMMAND…: runs it; what it prints is what is ready
    local what
    mkdir -p "$(dirname "$directory")"
    rm -f "$directory.ready" "$directory.skipped"
    what=$("$@") || { echo "$what"; exit 1; }
    echo "$what" | tee "$directory.ready"
}
