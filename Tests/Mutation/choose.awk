# Chooses some of the places that sites.awk listed, spread over each file and of all kinds, the same each time.
# Usage: awk -v dropped=FILE -v per_file=N -v lines_for_one_more=N -f choose.awk LINES SITES
#   LINES    "lines file" of each file
#   dropped  those that do not compile: file, line, after
# Prints number, file, first line, last line, kind, before, after, new first line, new last line, by tabs.
# SPDX-License-Identifier: Apache-2.0

BEGIN {
    FS = "\t"
    while ((getline text <dropped) > 0) is_dropped[text] = 1
}

FNR == NR {
    split($0, part, " ")
    line_count[part[2]] = part[1]
    next
}

{
    if (!($1 in count)) files[++file_count] = $1
    site[$1, ++count[$1]] = $0
}

# take(name, from, to): chooses the best place of a part of the list; false if there is none.
function take(name, from, to,    i, part, rank, best, best_rank, line) {
    best = 0
    for (i = from; i <= to; i++) {
        split(site[name, i], part, "\t")
        if (is_dropped[part[1] "\t" part[2] "\t" part[6]]) continue
        for (line = part[2]; line <= part[3]; line++) if ((name, line) in is_used) break
        if (line <= part[3]) continue
        # The rarest kind of the file first, then of all; then what is in the middle.
        rank = used[name, part[4]] * 1000000 + total[part[4]] * 1000 + (2 * i > from + to ? 2 * i - from - to : from + to - 2 * i)
        if (!best || rank < best_rank) {
            best = i
            best_rank = rank
        }
    }
    if (!best) return 0
    split(site[name, best], part, "\t")
    for (line = part[2]; line <= part[3]; line++) is_used[name, line] = 1
    used[name, part[4]]++
    total[part[4]]++
    is_chosen[name, best] = 1
    return 1
}

END {
    for (f = 1; f <= file_count; f++) {
        name = files[f]
        wanted = per_file + int(line_count[name] / lines_for_one_more)
        if (wanted > count[name]) wanted = count[name]
        missing = 0
        for (j = 0; j < wanted; j++)
            if (!take(name, int(j * count[name] / wanted) + 1, int((j + 1) * count[name] / wanted))) missing++
        while (missing-- > 0) if (!take(name, 1, count[name])) break
        for (i = 1; i <= count[name]; i++)
            if ((name, i) in is_chosen) printf "%d\t%s\n", ++number, site[name, i]
    }
}
