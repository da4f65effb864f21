#!/bin/sh
# gone.sh NEW <lines of table.sh: those of them that the file NEW does not have. The port of one may have another target now.
LC_ALL=C awk -v new="$1" 'BEGIN { while ((getline line <new) > 0) has[line] = 1 } !($0 in has)'
