#!/bin/sh
# machine.sh ROOTFS SHARED: a throw-away computer with a real systemd as PID 1, for as long as stdin is open.
#
# It runs on an overlay over ROOTFS, in namespaces of its own (its network is a loopback and nothing else), and sees SHARED,
# read-only, as /shared: SHARED/provision.sh runs once, as root, before the first boot. Prints `init=PID` whenever a
# systemd has been started: `nsenter --target PID` leads in. `systemctl reboot` boots it again from what is on its disk;
# `systemctl poweroff`, and the end of stdin, are its end.
#
# The host sees one cgroup and one temporary directory, both removed. Needs root, cgroup2 and overlayfs.
set -eu

# In the mount namespace that all boots share: makes the disk, then boots until the machine is switched off.
power_on() {
  work=$1 rootfs=$2 shared=$3 cgroup=$4
  mount -t tmpfs -o size=3g,mode=755 tmpfs "$work"
  mkdir "$work/upper" "$work/work" "$work/root"
  root=$work/root
  mount -t overlay overlay -o "lowerdir=$rootfs,upperdir=$work/upper,workdir=$work/work" "$root"
  mkdir -p "$root/shared"
  mount --bind "$shared" "$root/shared"
  mount -o remount,bind,ro "$root/shared"
  chroot "$root" /bin/sh /shared/provision.sh >&2
  number=0
  while :; do
    number=$((number + 1))
    mkdir "$cgroup/boot-$number"
    # The cgroup first, so that it is the root of the machine's own cgroups.
    # shellcheck disable=SC2016 # for the inner shell
    sh -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' join "$cgroup/boot-$number" \
      unshare --mount --pid --fork --kill-child --net --ipc --uts --cgroup --propagation private \
      /bin/sh "$0" --boot "$root" </dev/null &
    unshare=$!
    init=
    while [ -z "$init" ] && kill -0 $unshare 2>/dev/null; do
      init=$(cat "/proc/$unshare/task/$unshare/children" 2>/dev/null) || true
      [ -n "$init" ] || sleep 0.02
    done
    echo "init=${init% }"
    code=0
    wait $unshare || code=$?
    # reboot(2) ends PID 1 of a namespace by SIGHUP, poweroff by SIGINT.
    [ $code = 129 ] || break
  done
}

# PID 1 of the machine, before it becomes systemd.
boot() {
  root=$1
  ip link set lo up 2>/dev/null || busybox ip link set lo up
  mount -t proc proc "$root/proc"
  mount -t sysfs -o ro sysfs "$root/sys"
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
  mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
  mkdir "$root/dev/pts" "$root/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
  ln -s pts/ptmx "$root/dev/ptmx"
  for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
  done
  ln -s /proc/self/fd "$root/dev/fd"
  for stream in 0:stdin 1:stdout 2:stderr; do ln -s "fd/${stream%:*}" "$root/dev/${stream#*:}"; done
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
  mkdir -p "$root/run/old"
  cd "$root"
  # Not chroot: in one, user namespaces are refused, and with them bubblewrap.
  pivot_root . run/old
  umount -l /run/old
  rmdir /run/old
  exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=multi-user.target --log-target=journal --show-status=no >/dev/null 2>&1
}

remove_cgroup() {
  tries=0
  while [ $tries -lt 100 ] && ! find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null; do
    [ ! -e "$cgroup/cgroup.kill" ] || echo 1 >"$cgroup/cgroup.kill"
    tries=$((tries + 1))
    sleep 0.1
  done
}

outside() {
  rootfs=$1 shared=$2
  cgroups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
  work=$(mktemp -d)
  cgroup=$cgroups/claude-code-daemon-boot-$$
  mkdir "$cgroup"
  trap 'remove_cgroup; rmdir "$work"' EXIT
  trap 'exit 143' TERM INT HUP
  exec 3<&0
  unshare --mount --propagation private /bin/sh "$0" --power-on "$work" "$rootfs" "$shared" "$cgroup" </dev/null &
  machine=$!
  # Whoever started this has gone, or wants an end.
  {
    cat >/dev/null
    remove_cgroup
  } <&3 &
  watch=$!
  exec 3<&-
  code=0
  wait $machine || code=$?
  kill $watch 2>/dev/null || true
  exit "$code"
}

case ${1:-} in
  --power-on) shift; power_on "$@" ;;
  --boot) boot "$2" ;;
  *) outside "$@" ;;
esac
