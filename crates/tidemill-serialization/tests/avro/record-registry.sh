#!/usr/bin/env bash
# Runs Apicurio Registry and records what it says to the client: registry/apicurio.jsonl, which the tests replay.
#
# Run by hand when the client asks for something new. Downloads about 140 MB from Maven Central; needs mvn, java 17 and curl.
set -euo pipefail
cd "$(dirname "$0")"
version=2.6.13.Final
port=${PORT:-18081}
work=${WORK:-$(mktemp -d)}
archive=$work/repository/io/apicurio/apicurio-registry-app/$version/apicurio-registry-app-$version-all.tar.gz
[ -e "$archive" ] || mvn -q -B dependency:get -Dmaven.repo.local="$work/repository" -Dtransitive=false \
    -Dartifact="io.apicurio:apicurio-registry-app:$version:tar.gz:all"
mkdir -p "$work/app"
tar xzf "$archive" -C "$work/app"
# Keeps everything in memory: each run begins with an empty registry.
(cd "$work/app" && exec java -Dquarkus.http.port="$port" -Dquarkus.http.host=127.0.0.1 -jar ./*-runner.jar) >"$work/log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
api=http://127.0.0.1:$port/apis/ccompat/v7
for _ in $(seq 60); do
    curl -fs "$api/subjects" >/dev/null && break
    sleep 1
done
kill -0 "$server" || { echo "the registry did not start, see $work/log: is port $port taken?" >&2; exit 1; }
TIDEMILL_RECORD_REGISTRY=$api cargo test --release -p tidemill-serialization --test it a_real_registry_is_understood
