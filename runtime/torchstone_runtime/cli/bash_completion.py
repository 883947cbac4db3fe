"""Completion in bash, which cuts words at `=` and `:`: `folder:ph` and `optimizer=ad` are completed all the same."""

import os
from typing import Final

from click.shell_completion import BashComplete, add_completion_class, split_arg_string

_SOURCE: Final = r"""
%(complete_func)s() {
    local IFS=$'\n' response type value
    local line=${COMP_LINE:0:$COMP_POINT}
    # Bash replaces only what stands behind the last of these in the word.
    local breaks=${COMP_WORDBREAKS//[^=:]/} word=${line##*[[:space:]]} kept=
    [[ -n $breaks ]] && kept=${word%%"${word##*[$breaks]}"}

    response=$(env COMP_LINE="$line" %(complete_var)s=bash_complete $1)

    for completion in $response; do
        IFS=',' read type value <<< "$completion"

        if [[ $type == 'dir' ]]; then
            COMPREPLY=()
            compopt -o dirnames
        elif [[ $type == 'file' ]]; then
            COMPREPLY=()
            compopt -o default
        elif [[ $type == 'plain' ]]; then
            COMPREPLY+=("${value#"$kept"}")
            [[ $value == *[=:] ]] && compopt -o nospace
        fi
    done

    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class WholeWordBashComplete(BashComplete):
    """Reads the line up to the cursor, in place of bash's words."""

    source_template = _SOURCE

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one being typed, and what there is of that one."""
        line = os.environ["COMP_LINE"]
        words = split_arg_string(line)[1:]
        incomplete = words.pop() if words and not line[-1].isspace() else ""
        return words, incomplete


def complete_whole_words() -> None:
    """Let click complete in bash with this class."""
    add_completion_class(WholeWordBashComplete, "bash")
