#!/bin/sh
# Runs once, as root, in the machine of machine.sh before its first boot: what an administrator of it would have set up.
set -eu

echo machine >/etc/hostname
printf '127.0.0.1 localhost machine\n' >/etc/hosts
# Whom the host trusts: its network may have an authority of its own.
cp /shared/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt

useradd --create-home --shell /bin/bash alice
mkdir -p /root/.ssh
chmod 700 /root/.ssh
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
install -d -o alice -g alice -m 700 /home/alice/.ssh
install -o alice -g alice -m 600 /root/.ssh/id_ed25519.pub /home/alice/.ssh/authorized_keys
printf 'machine %s\n' "$(cat /etc/ssh/ssh_host_ed25519_key.pub)" >/root/.ssh/known_hosts

# The way out: nothing but a proxy that lets the npm registry through (and says what else was asked for).
cat >/etc/environment <<'ENVIRONMENT'
HTTPS_PROXY=http://127.0.0.1:3128
HTTP_PROXY=http://127.0.0.1:3128
NO_PROXY=localhost,127.0.0.1,::1
ENVIRONMENT
relay() {
  cat >"/etc/systemd/system/relay-$1.service" <<UNIT
[Service]
ExecStart=/usr/bin/socat TCP4-LISTEN:$2,bind=127.0.0.1,reuseaddr,fork UNIX-CONNECT:/shared/$1.sock
UNIT
  ln -s "../relay-$1.service" "/etc/systemd/system/multi-user.target.wants/relay-$1.service"
}
relay proxy 3128
relay api 9999

# The manager of a user who has logged out ends at once, and not after 10 seconds.
mkdir -p /etc/systemd/logind.conf.d
printf '[Login]\nUserStopDelaySec=0\n' >/etc/systemd/logind.conf.d/test.conf
# Kept over a reboot, as on a machine with a disk.
mkdir -p /var/log/journal
# Of no use here, and they take time.
ln -sf /dev/null /etc/systemd/system/systemd-networkd-wait-online.service
ln -sf /dev/null /etc/systemd/system/apt-daily.timer
ln -sf /dev/null /etc/systemd/system/apt-daily-upgrade.timer
