#!/bin/sh
# An upgrade, one that fails, a downgrade and an uninstall with the service running, on the machine of
# test/service/systemd-user.sh. Prints `name=value` lines; the test judges them.
set -u

say() { printf '%s=%s\n' "$1" "$2"; }
version() { curl -s -m 10 http://127.0.0.1:8080/v1/health | grep -o '"version":"[0-9.]*"' | head -n 1 | tr -dc 0-9.; }
install() { sh /tmp/in/install.sh --from /tmp/in "$@" >/tmp/install.out 2>&1; }
# Everything but claude's own files and empty directories.
traces() { find "$HOME" \( -path "$HOME/.claude*" -o -path "$HOME/.cache/claude*" \) -prune -o ! -type d -print | sort; }

mkdir -p "$HOME/tools/bin"
ln -s /tmp/in/claude "$HOME/tools/bin/claude"
PATH=$HOME/tools/bin:$PATH
export PATH
traces >/tmp/before

install --version 1.0.0
say install "$? $(version)"
pid=$(systemctl --user show --property=MainPID --value claude-code-daemon.service)
install --version 1.0.0
say again "$? $(version) $([ "$pid" = "$(systemctl --user show --property=MainPID --value claude-code-daemon.service)" ] && echo undisturbed)"
install --version 1.1.0
say failed_upgrade "$? $(version) $("$HOME/.local/bin/claude-code-daemon" --version) $(systemctl --user is-active claude-code-daemon.service)"
say told "$(grep -o 'is back, and its service runs again' /tmp/install.out)"
install
say upgrade "$? $(version)"
install --version 1.0.0
say downgrade "$? $(version)"
cat /tmp/install.out >&2
sh /tmp/in/install.sh --uninstall --purge >/tmp/uninstall.out 2>&1
say uninstall "$? $(version)"
traces >/tmp/after
say left "$(comm -13 /tmp/before /tmp/after | tr '\n' ' ')"
