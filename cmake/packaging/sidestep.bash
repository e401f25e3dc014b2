# bash completion for sidestep
_sidestep() {
  local cur=${COMP_WORDS[COMP_CWORD]} i position=0 attach=
  local options='--attach --multi --once --on-disconnect= --allow-user= --host-io= --no-run --observe
    --port-file= --wrapper --startup-with-shell --no-startup-with-shell --disable-randomization
    --no-disable-randomization --debug --debug= --debug-format= --debug-file= --remote-debug
    --event-loop-debug --disable-packet= --selftest --help --version'
  # COMP_WORDS has = and : as words of their own.
  local line=${COMP_LINE:0:COMP_POINT}
  local word=${line##* }
  COMPREPLY=()
  case $word in
    --on-disconnect=*) COMPREPLY=($(compgen -W 'keep detach kill' -- "${word#*=}")); return ;;
    --host-io=*) COMPREPLY=($(compgen -W 'off read full' -- "${word#*=}")); return ;;
    --allow-user=*) COMPREPLY=($(compgen -u -- "${word#*=}")); return ;;
    --debug=*) COMPREPLY=($(compgen -W 'all threads event-loop remote' -- "${word#*=}")); return ;;
    --debug-format=*) COMPREPLY=($(compgen -W 'all none timestamp' -- "${word#*=}")); return ;;
    --disable-packet=*)
      COMPREPLY=($(compgen -W 'vCont T Tthread qC qfThreadInfo threads' -- "${word#*=}")); return ;;
    --port-file=* | --debug-file=*) COMPREPLY=($(compgen -f -- "${word#*=}")); return ;;
  esac
  # How many words that are no options stand before this one: COMM, then PROG or PID.
  local words=($line)
  [[ $line == *' ' ]] && words+=('')
  for ((i = 1; i < ${#words[@]} - 1; ++i)); do
    case ${words[i]} in
      --attach) attach=yes ;;
      --wrapper) while ((i < ${#words[@]} - 1)) && [[ ${words[i]} != -- ]]; do ((++i)); done ;;
      --*) ;;
      *) ((++position)) ;;
    esac
  done
  if [[ $word == -?* ]] && ((position < 2)); then
    COMPREPLY=($(compgen -W "$options" -- "$word"))
    [[ ${COMPREPLY[*]} == *= ]] && compopt -o nospace
  elif ((position == 0)); then
    COMPREPLY=($(compgen -W 'localhost: unix: stdio systemd' -- "$word"))
    [[ ${COMPREPLY[*]} == *: ]] && compopt -o nospace
  elif [[ $attach ]]; then
    COMPREPLY=($(compgen -W "$(ps -eo pid= 2>/dev/null)" -- "$cur"))
  elif ((position == 1)); then
    compopt -o filenames
    COMPREPLY=($(compgen -c -- "$cur") $(compgen -f -- "$cur"))
  else
    compopt -o filenames
    COMPREPLY=($(compgen -f -- "$cur"))
  fi
}
complete -F _sidestep sidestep
