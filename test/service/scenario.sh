#!/bin/sh
# A user's life with the service, on the machine of systemd-user.sh. Prints `name=value` lines; the test judges them.
# Every wait is bounded.
set -u

daemon=/tmp/in/claude-code-daemon
unit=claude-code-daemon.service
override=$HOME/.config/systemd/user/$unit.d/test.conf

say() { printf '%s=%s\n' "$1" "$2"; }
property() { systemctl --user show --property="$1" --value "$unit"; }
health() { curl -s -m 10 -o /tmp/health -w '%{http_code}' http://127.0.0.1:8080/v1/health; }

# until_true COMMAND...: polls for 20 s.
until_true() {
  tries=0
  until "$@"; do
    tries=$((tries + 1))
    [ $tries -lt 400 ] || return 1
    sleep 0.05
  done
}
restarted() { [ "$(property MainPID)" != "$1" ] && [ "$(property ActiveState)" = active ]; }
past_watchdog() { [ $(($(property WatchdogTimestampMonotonic) - $1)) -gt 2500000 ]; }
journal_has() { "$daemon" service logs -n 200 | grep -q "$1"; }

# Everything but claude's own files and directories of everybody's.
traces() {
  find "$HOME" \( -path "$HOME/.claude*" -o -path "$HOME/.cache*" \) -prune -o \
    \( ! -type d -o -name '*claude-code*' -o -name 'systemd*' \) -print | sort
}

# claude stands where only an interactive shell looks.
mkdir -p "$HOME/tools/bin"
ln -s /tmp/in/claude "$HOME/tools/bin/claude"
cat >"$HOME/.bashrc" <<'BASHRC'
case $- in *i*) ;; *) return ;; esac
PATH="$HOME/tools/bin:$PATH"
BASHRC

"$daemon" service status >/dev/null
say status_before $?
traces >/tmp/before

ANTHROPIC_API_KEY=sk-ant-fake-for-tests ANTHROPIC_BASE_URL=http://127.0.0.1:9 \
  "$daemon" service install --env ANTHROPIC_API_KEY --env ANTHROPIC_BASE_URL >/tmp/install.out 2>&1
say install $?
cat /tmp/install.out >&2
say answers "$(health)"
say logged_in "$(grep -o '"logged_in":[a-z]*' /tmp/health)"
say enabled "$(systemctl --user is-enabled $unit)"
say verify "$(systemd-analyze verify --user "$HOME/.config/systemd/user/$unit" 2>&1)"
say environment_mode "$(stat -c %a "$HOME/.config/claude-code-daemon/service.env")"
say no_new_privileges "$(awk '$1 == "NoNewPrivs:" { print $2 }' "/proc/$(property MainPID)/status")"
say umask "$(awk '$1 == "Umask:" { print $2 }' "/proc/$(property MainPID)/status")"
leaked=
# shellcheck disable=SC2013 # one line of words
for child in $(cat "/proc/$(property MainPID)"/task/*/children); do
  tr '\0' '\n' <"/proc/$child/environ" | grep -E '^(NOTIFY_SOCKET|WATCHDOG_)' && leaked="$leaked $child"
done
say leaked "$leaked"
curl -s -m 20 -o /tmp/agent http://127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' \
  -d '{"model":"claude-code","messages":[{"role":"user","content":"hi"}]}'
say agent_without_workspace "$(grep -o 'workspace add' /tmp/agent)"
"$daemon" service status >/dev/null
say status_running $?

pid=$(property MainPID)
kill -9 "$pid"
until_true restarted "$pid" && say after_kill "$(health)"

# The watchdog at 30 s would take 30 s.
mkdir -p "${override%/*}"
printf '[Service]\nWatchdogSec=2\n' >"$override"
systemctl --user daemon-reload
"$daemon" service restart >/dev/null
say restart $?
pid=$(property MainPID)
# Past WatchdogSec: only a daemon that says it is alive is still the same one.
first=$(property WatchdogTimestampMonotonic)
until_true past_watchdog "$first"
[ "$(property MainPID)" = "$pid" ] && say alive_past_watchdog yes
kill -STOP "$pid"
until_true restarted "$pid" && say after_watchdog "$(health)"
until_true journal_has 'Watchdog timeout' && say watchdog_in_logs yes
rm -r "${override%/*}"
systemctl --user daemon-reload

# Another Node by nvm, a moved prefix: nothing of what was recorded is there any more.
mkdir "$HOME/moved"
mv "$HOME/tools/bin" "$HOME/moved/bin"
sed -i 's/tools/moved/' "$HOME/.bashrc"
"$daemon" service restart >/dev/null
say claude_moved "$? $(health)"

# A fault that a person must correct: said, with exit 78, and not tried again.
echo 'port = "many"' >"$HOME/.config/claude-code-daemon/config.toml"
systemctl --user restart $unit
say bad_config "$(property ActiveState) $(property ExecMainStatus) $(property NRestarts)"
echo 'port = 8080' >"$HOME/.config/claude-code-daemon/config.toml"
"$daemon" service start >/dev/null
say corrected "$? $(health)"

"$daemon" service stop >/dev/null
say stop "$? $(health)"
"$daemon" service status >/dev/null
say status_stopped $?

# Logs out and in.
systemctl --user exit
until_true sh -c '! systemctl --user show --property=Version >/dev/null 2>&1'
sh /tmp/login
until_true [ "$(property ActiveState)" = active ]
until_true sh -c 'curl -s -m 10 -o /dev/null http://127.0.0.1:8080/v1/health' && say after_login "$(health)"
say after_login_service "$(property ActiveState)"

# Installed again, as an upgrade does: the user's own lines stay.
echo 'MY_OWN=1' >>"$HOME/.config/claude-code-daemon/service.env"
PATH=$HOME/moved/bin:$PATH "$daemon" service install >/dev/null
say install_again "$? $(health) $(grep -c 'sk-ant-fake\|MY_OWN' "$HOME/.config/claude-code-daemon/service.env")"

"$daemon" service uninstall >&2
say uninstall "$? $(health)"
say unit_after "$(property LoadState) $(property ActiveState)"
rm "$HOME/.config/claude-code-daemon/config.toml"
"$daemon" service uninstall >/dev/null
rm -r "$HOME/moved" "$HOME/.local/state/claude-code-daemon"
traces >/tmp/after
say left "$(diff /tmp/before /tmp/after | grep '^>' | tr '\n' ' ')"
say processes_left "$(pgrep -c -f '[/]tmp/in/claude')"
