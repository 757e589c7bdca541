# Every command that a person or CI runs. `just` alone lists them.
# The first time, and on a fresh machine, `tests/run` does all of it: it installs what is missing and calls `just test`.

set shell := ["bash", "-euo", "pipefail", "-c"]
set positional-arguments

export CARGO_TERM_COLOR := env("CARGO_TERM_COLOR", "auto")
# An error of a test says what it is; where it was made only lengthens the report. Panics keep their backtraces.
export RUST_LIB_BACKTRACE := "0"

# Lists the recipes.
default:
    @just --list --unsorted

# Installs and builds what the tests need and this machine lacks.
setup *PARTS:
    tests/setup {{ PARTS }}

# Formats the code.
fmt:
    cargo fmt --all

# Formatting and clippy, warnings being errors.
lint:
    cargo fmt --all --check
    cargo fmt --manifest-path tests/bench/Cargo.toml --check
    gofmt -l tests/cluster tests/rtsp-server-go | (! grep .)
    cargo clippy --workspace --all-targets -- -D warnings

# Everything: a table of the stages and their times comes last.
test:
    tests/stages web+ lint check-layers check-generated deny unit fuzz-replay bench-check loopback e2e

# The tests beside the code: no network, no cluster, seconds.
unit *ARGS:
    cargo nextest run --workspace -E 'not package(weir-tests) - binary(fuzz_replay)' "$@"
    cargo test --workspace --doc --quiet

# media-node as one process, with cameras and players that are not ours. No cluster.
loopback *ARGS:
    tests/setup cameras browser schemathesis media s3 >/dev/null
    cargo build --workspace --bins --tests
    cargo nextest run --workspace -E 'binary(/^loopback_/)' "$@"

# The page by itself, against a server of its own tests.
web:
    web/scripts/install
    cd web && npm run --silent check && npm test --silent

# The whole of it in a Kubernetes: starts one unless WEIR_TEST_KUBECONFIG names one.
e2e *ARGS:
    tests/setup cluster ingress cameras media >/dev/null
    cargo build --workspace --bins --tests
    "${CARGO_TARGET_DIR:-target}/debug/with-cluster" tests/e2e "$@"

# Feeds each fuzz target the corpus that is kept for it. `cargo fuzz` is for finding more.
fuzz-replay:
    cargo nextest run --workspace -E 'binary(fuzz_replay)'

# What measures is a workspace of its own: its lints and tests.
bench-check:
    CARGO_TARGET_DIR="${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}/bench" \
        cargo clippy --quiet --locked --manifest-path tests/bench/Cargo.toml --all-targets -- -D warnings
    CARGO_TARGET_DIR="${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}/bench" \
        cargo test --quiet --locked --manifest-path tests/bench/Cargo.toml

# The measurements that docs/ quotes.
bench *ARGS:
    tests/bench/run "$@"

# Writes what is made from something else: custom resources, their reference, the chart's copies.
generate:
    tests/generate

# Fails when `just generate` would change anything.
check-generated:
    tests/generate --check

# Who may use whom.
check-layers:
    tests/check-layers

# Licences, banned crates, where crates come from.
deny:
    cargo deny --all-features check bans licenses sources

# Makes the two container images as tar files in DIR, without a container engine; with FFMPEG, a program of this machine, for pictures.
image DIR="target/images" PROFILE="release" TAG="dev" FFMPEG="":
    cargo build --profile "{{ PROFILE }}" -p weir-operator -p media-node
    FFMPEG="{{ FFMPEG }}" tests/image "{{ DIR }}" "${CARGO_TARGET_DIR:-target}/{{ if PROFILE == "dev" { "debug" } else { PROFILE } }}" \
        "localhost/weir-operator:{{ TAG }}" "localhost/weir-media-node:{{ TAG }}"
    ls -l "{{ DIR }}"
