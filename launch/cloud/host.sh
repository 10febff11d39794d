#!/usr/bin/env bash
# What runs on every host of a slice; the launcher calls it over ssh.
#
#   host.sh install PYTHON           puts the checkout that was unpacked into its place
#   host.sh versions                 one line of JSON for the launcher to compare
#   host.sh train ATTEMPT FLAG...    trains, or joins the training that runs already
#   host.sh stop                     lets training save and end
#
# Training is a process of its own, apart from the ssh connection: gcloud runs a
# command again when the connection drops, which then joins instead of training
# twice. Every line says which host it is from.
set -euo pipefail

run=$HOME/hanok-run
environment=$HOME/hanok-env
grace_seconds=300

is_running() {
  [ -s "$run/pid" ] && grep -qsz launch.train "/proc/$(<"$run/pid")/cmdline"
}

stop() {
  is_running || return 0
  echo "stopping launch.train; it saves first"
  kill -TERM -- "-$(<"$run/pid")"
  for _ in $(seq "$grace_seconds"); do
    is_running || return 0
    sleep 1
  done
  kill -KILL -- "-$(<"$run/pid")"
}

# The images come with Python 3.10; uv brings the version that the launcher has.
install() {
  stop # what an earlier launcher left: two processes can't hold one TPU
  rm -rf "$run" "$HOME/hanok"
  mv "$HOME/hanok.next" "$HOME/hanok"
  cd "$HOME/hanok"
  PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --quiet --user 'uv>=0.8,<1'
  python3 -m uv venv --quiet --clear --python "$1" "$environment"
  python3 -m uv pip install --quiet --python "$environment" \
    --constraint constraints.txt --editable '.[tpu]'
}

versions() {
  cd "$HOME/hanok"
  HANOK_CHECKOUT=$(sha256sum <"$HOME/hanok.tar.gz" | cut -c -12)
  export HANOK_CHECKOUT
  "$environment/bin/python" -m launch.cloud.versions
}

train() {
  local attempt=$1
  shift
  if is_running || { [ -s "$run/pid" ] && [ "$attempt" = "$(<"$run/attempt")" ]; }; then
    echo "joins attempt $attempt, which has begun already"
    follow 20
  fi
  echo "begins attempt $attempt"
  rm -rf "$run"
  mkdir "$run"
  echo "$attempt" >"$run/attempt"
  : >"$run/log"
  cd "$HOME/hanok"
  # A shutdown sends SIGTERM to the shell, too: it has to outlive the training.
  # Without a TPU JAX shall fail rather than train on the CPU.
  # shellcheck disable=SC2016
  JAX_PLATFORMS=tpu,cpu setsid bash -c 'trap : TERM; "$@"; echo $? >"$0/code"' "$run" \
    "$environment/bin/python" -m launch.train "$@" >>"$run/log" 2>&1 </dev/null &
  echo $! >"$run/pid"
  follow +1
}

follow() {
  tail --lines="$1" --follow --sleep-interval=0.2 --pid="$(<"$run/pid")" "$run/log"
  local code=137 # killed, without a word
  [ ! -s "$run/code" ] || code=$(<"$run/code")
  echo "launch.train ended with exit code $code"
  exit "$code"
}

worker=$(curl --silent --show-error --fail --max-time 20 --header 'Metadata-Flavor: Google' \
  http://metadata.google.internal/computeMetadata/v1/instance/attributes/agent-worker-number)
"$@" 2>&1 | sed --unbuffered "s/^/[$worker] /"
