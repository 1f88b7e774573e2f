#!/bin/sh
# Runs a temporary PostgreSQL cluster for tests, reached through a socket in its own folder.
#
#   postgres.sh serve           start a cluster, print its folder, stop it when stdin is closed
#   postgres.sh nextest         start a cluster for a run of cargo-nextest (a setup script)
#   postgres.sh stop FOLDER     stop the cluster in FOLDER at once, as a crash would
#   postgres.sh start FOLDER    start it again
#   postgres.sh create FOLDER NAME   create a database
#
# If PostgreSQL is not installed, `nextest` does nothing and the others exit with 3.
set -eu

bin=
for candidate in /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql*/bin; do
    if [ -x "$candidate/initdb" ]; then bin=$candidate; fi
done
if [ -z "$bin" ] && initdb=$(command -v initdb); then
    bin=$(dirname "$(realpath "$initdb")")
fi
if [ -z "$bin" ]; then
    if [ "${1:-}" = nextest ]; then exit 0; fi
    exit 3
fi

# PostgreSQL refuses to run as root.
as_server() {
    if [ "$(id -u)" -eq 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

# 64 MB of write-ahead log instead of 1 GB: the disk also holds everything that was built.
start() {
    as_server "$bin/pg_ctl" -D "$1/data" -w -l "$1/log" -o "-k $1 -c listen_addresses='' \
        -c max_connections=400 -c fsync=off -c max_wal_size=64MB ${options:-}" start >/dev/null 2>&1
}

stop() {
    as_server "$bin/pg_ctl" -D "$1/data" -w -m immediate stop >/dev/null 2>&1
}

new_cluster() {
    folder=$(mktemp -d "${TMPDIR:-/tmp}/sitewright-postgres.XXXXXX")
    if [ "$(id -u)" -eq 0 ]; then chown postgres "$folder"; fi
    cd "$folder"
    as_server "$bin/initdb" -D "$folder/data" -U sitewright -A trust --no-sync \
        >"$folder/initdb.log" 2>&1
    start "$folder"
}

remove() {
    stop "$1" || true
    rm -rf "$1"
}

case "${1:-}" in
serve)
    new_cluster
    # A cluster that its user has stopped or that was killed is no error here.
    trap '' INT TERM HUP
    echo "$folder"
    # The pipes of the test must not stay open when the test has ended.
    exec >/dev/null 2>&1
    cat
    remove "$folder"
    ;;
nextest)
    # A worker of autovacuum looks at each database once a minute: at hundreds of them, which the
    # tests of a run leave, several in each second.
    options='-c autovacuum_naptime=10min'
    new_cluster
    echo "TESTS_POSTGRES=$folder" >>"$NEXTEST_ENV"
    # nextest has no hook for the end of a run. It is the parent of this script: the cluster is
    # removed when it is gone.
    runner=$PPID
    (
        trap '' INT TERM HUP
        while kill -0 "$runner" 2>/dev/null; do sleep 1; done
        remove "$folder"
    ) </dev/null >/dev/null 2>&1 &
    ;;
start) start "$2" ;;
stop) stop "$2" ;;
create) "$bin/createdb" -h "$2" -U sitewright "$3" ;;
*)
    echo "usage: postgres.sh serve | nextest | start FOLDER | stop FOLDER | create FOLDER NAME" >&2
    exit 2
    ;;
esac
