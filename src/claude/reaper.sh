# Ends what a daemon leaves behind. Reads lines on stdin for as long as the daemon lives:
#   t PID         a process to end with the daemon      u PID         no longer
#   r PID:START   one from the record of an earlier run  o PID:START  only if this owner is gone
# End of input, however it came about, is the order to reap. POSIX sh: dash, busybox ash, bash. Linux by /proc, else ps.
# START tells a reused pid. MARKER is an environment entry that every process of the daemon carries and passes on.
umask 077
trap '' HUP INT QUIT TERM USR1 USR2 PIPE
marker=$REAPER_MARKER
record=$REAPER_RECORD
unset REAPER_MARKER REAPER_RECORD
tracked=' '
[ -r /proc/self/stat ] && proc=1 || proc=

# Sets parent, group, session and start of process $1; fails when it is gone.
look() {
  stat=
  if [ -n "$proc" ]; then
    # The name in parentheses may hold anything, line breaks included.
    while IFS= read -r part || [ -n "$part" ]; do stat="$stat $part"; done 2>/dev/null <"/proc/$1/stat"
    [ -n "$stat" ] || return 1
    # shellcheck disable=SC2086
    set -- ${stat##*) }
    [ $# -ge 20 ] || return 1
    parent=$2 group=$3 session=$4
    # A zombie is dead, also where nobody collects it.
    case $1 in Z | X) return 1 ;; esac
    shift 19
    start=$1
  else
    start=$(ps -o lstart= -p "$1" 2>/dev/null | tr -cs 'A-Za-z0-9:\n' _)
    [ -n "$start" ]
  fi
}

save() {
  look $$ && printf 'marker %s\no %s\n' "$marker" "$$:$start" >"$record" || return 0
  for entry in $tracked; do printf 'r %s\n' "$entry"; done >>"$record"
}

forget() {
  kept=' '
  for entry in $tracked; do
    case $entry in "$1":*) ;; *) kept="$kept$entry " ;; esac
  done
  tracked=$kept
}

# Adds one of the table to what was found, and keeps its start: its parent may die before it does.
add() {
  [ "$1" = $$ ] && return
  case $found in *" $1 "*) return ;; esac
  found="$found$1 "
  changed=1
}

snapshot() {
  table=
  if [ -n "$proc" ]; then
    for directory in /proc/[0-9]*; do
      look "${directory#/proc/}" || continue
      table="$table ${directory#/proc/}/$parent/$group/$session/$start"
    done
    # -z: busybox sees only the first entry otherwise.
    marked=$(grep -lzxF -e "$marker" /proc/[0-9]*/environ 2>/dev/null | tr -cs '0-9\n' ' ')
  else
    table=$(ps -A -o pid=,ppid=,pgid=,stat=,lstart= | awk '$4 !~ /^Z/ {
      start = $5; for (i = 6; i <= NF; i++) start = start "_" $i
      printf " %s/%s/%s/%s/%s_", $1, $2, $3, $3, start }')
    # shellcheck disable=SC2009 # pgrep cannot match the environment, which -E appends to the command
    marked=$(ps -A -E -ww -o pid=,command= | grep -F -e "$marker" | awk '{ print $1 }')
  fi
}

# All living processes that are tracked or marked, and whatever hangs on them by parent, group or session.
gather() {
  snapshot
  found=' '
  for entry in $table; do
    case $tracked in *" ${entry%%/*}:${entry##*/} "*) add "${entry%%/*}" ;; esac
  done
  for pid in $marked; do
    case "$table " in *" $pid/"*) add "$pid" ;; esac
  done
  changed=1
  while [ -n "$changed" ]; do
    changed=
    for entry in $table; do
      pid=${entry%%/*} rest=${entry#*/}
      parent=${rest%%/*} rest=${rest#*/}
      group=${rest%%/*} rest=${rest#*/}
      case $found in *" $parent "* | *" $group "* | *" ${rest%%/*} "*) add "$pid" ;; esac
    done
  done
  for entry in $table; do
    case $found in *" ${entry%%/*} "*) ;; *) continue ;; esac
    case $tracked in *" ${entry%%/*}:${entry##*/} "*) ;; *) tracked="$tracked${entry%%/*}:${entry##*/} " ;; esac
  done
}

# Most of a second of grace after SIGTERM (with SIGCONT: a stopped process sits on its SIGTERM), then SIGKILL; at most 5 s.
reap() {
  round=0
  asked=' '
  while [ $round -lt 40 ]; do
    gather
    [ "$found" = ' ' ] && return
    for pid in $found; do
      if [ $round -ge 6 ]; then
        kill -s KILL "$pid"
      else
        case $asked in *" $pid "*) continue ;; esac
        asked="$asked$pid "
        kill -s TERM "$pid"
        kill -s CONT "$pid"
      fi
    done 2>/dev/null
    round=$((round + 1))
    sleep 0.1 2>/dev/null || sleep 1
  done
}

while read -r verb value; do
  case $verb in
    t) look "$value" && forget "$value" && tracked="$tracked$value:$start " ;;
    u) forget "$value" ;;
    r) tracked="$tracked$value " ;;
    o) look "${value%%:*}" && [ "$start" = "${value#*:}" ] && exit 3 ;;
  esac
  case $verb in t | u) save ;; esac
done
reap
rm -f -- "$record"
