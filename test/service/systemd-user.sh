#!/bin/sh
# systemd-user.sh FILE...: a throw-away machine with a real systemd user manager, for one run.
#
# Every FILE appears, read-only, as /tmp/in/<its name>; the first one is run there by /bin/sh as the unprivileged user
# "tester", whose `systemd --user` and journal are running. Its exit code is this script's. `sh /tmp/login` starts the
# manager again after `systemctl --user exit`, as logging out and in does.
#
# All of it lives in namespaces on an overlay over /: the host sees one cgroup and one temporary directory, both removed.
# Needs root, cgroup2, overlayfs, and systemd with dbus-user-session.
set -eu

manager=/lib/systemd/systemd

# The machine's user part: as tester, in tester's slice. Started by `inside`.
user() {
  cd
  cat >/tmp/login <<'LOGIN'
env -i PATH="$PATH" HOME="$HOME" USER="$USER" SHELL=/bin/bash XDG_RUNTIME_DIR="$XDG_RUNTIME_DIR" LANG=C.UTF-8 \
  /lib/systemd/systemd --user --log-target=journal >>/tmp/manager.log 2>&1 &
tries=0
while [ $tries -lt 150 ]; do
  case $(systemctl --user is-system-running 2>/dev/null) in
    running | degraded) exit 0 ;;
  esac
  tries=$((tries + 1))
  sleep 0.1
done
echo "the user manager did not start:" >&2
cat /tmp/manager.log >&2
exit 1
LOGIN
  sh /tmp/login || exit 1
  exec /bin/sh "/tmp/in/$1"
}

# PID 1 of the machine: as root, after the switch of roots.
inside() {
  ip link set lo up 2>/dev/null || busybox ip link set lo up
  id tester >/dev/null 2>&1 || useradd --create-home --shell /bin/bash tester
  uid=$(id -u tester)
  usermod -aG systemd-journal tester
  # systemd looks for this directory to tell that it is in charge.
  mkdir -p /run/systemd/system /run/systemd/unit-root "/run/user/$uid"
  chown tester: "/run/user/$uid"
  chmod 700 "/run/user/$uid"
  [ -s /etc/machine-id ] || systemd-machine-id-setup >/dev/null 2>&1
  # Kept journals are what per-user journals need.
  mkdir -p "/var/log/journal/$(cat /etc/machine-id)" /run/systemd/journal
  touch /run/systemd/journal/flushed
  /lib/systemd/systemd-journald >/tmp/journald.log 2>&1 &
  # journald takes the user's unit from this path.
  slice=/sys/fs/cgroup/user.slice/user-$uid.slice/user@$uid.service
  mkdir -p "$slice"
  chown -R tester: "$slice"
  echo $$ >"$slice/cgroup.procs"
  # Not exec: as PID 1 this shell also waits for orphans.
  setpriv --reuid tester --regid tester --init-groups --inh-caps=-all \
    env -i PATH=/usr/local/bin:/usr/bin:/bin HOME=/home/tester USER=tester SHELL=/bin/bash TERM=dumb LANG=C.UTF-8 \
    XDG_RUNTIME_DIR="/run/user/$uid" /bin/sh /tmp/self --user "$1"
}

# In the new namespaces: builds the root and enters it.
build() {
  work=$1
  self=$2
  shift 2
  mount -t tmpfs -o size=2g,mode=755 tmpfs "$work"
  mkdir "$work/upper" "$work/work" "$work/root"
  mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$work/root"
  cp "$self" "$work/self"
  root=$work/root
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount -t sysfs sysfs "$root/sys"
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
  cp "$work/self" "$root/tmp/self"
  mkdir "$root/tmp/in"
  first=${1##*/}
  for file in "$@"; do
    touch "$root/tmp/in/${file##*/}"
    mount --bind "$file" "$root/tmp/in/${file##*/}"
    mount -o remount,bind,ro "$root/tmp/in/${file##*/}"
  done
  cd "$root"
  mkdir .old
  # Not chroot: in one, user namespaces are refused, and with them bubblewrap.
  pivot_root . .old
  umount -l /.old
  rmdir /.old
  exec /bin/sh /tmp/self --inside "$first"
}

remove_cgroup() {
  tries=0
  while [ $tries -lt 50 ] && ! find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null; do
    [ ! -e "$cgroup/cgroup.kill" ] || echo 1 >"$cgroup/cgroup.kill"
    tries=$((tries + 1))
    sleep 0.1
  done
}

outside() {
  cgroups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
  work=$(mktemp -d)
  cgroup=$cgroups/claude-code-daemon-test-$$
  mkdir "$cgroup"
  trap 'remove_cgroup; rmdir "$work"' EXIT
  trap 'exit 143' TERM INT HUP
  code=0
  # The cgroup first, so that it is the root of the machine's own cgroups.
  # shellcheck disable=SC2016 # for the inner shell
  sh -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' join "$cgroup" \
    unshare --mount --pid --fork --kill-child --net --ipc --uts --cgroup --propagation private \
    /bin/sh "$0" --build "$work" "$0" "$@" || code=$?
  exit "$code"
}

[ -x "$manager" ] || { echo "systemd is not installed" >&2; exit 1; }
case ${1:-} in
  --build) shift; build "$@" ;;
  --inside) inside "$2" ;;
  --user) user "$2" ;;
  *) outside "$@" ;;
esac
