# Lists the places of a Swift file where scripts/mutate can break the program, one a line, by tabs:
#   file  first-line  last-line  kind  before  after  new-first-line  new-last-line
# "before" and "after" are for people. In the new lines the mutation is chosen at run time by mutant(@). The file is
# formatted by "swift format", so that the indentation tells where a statement begins and ends.
# Usage: awk -v file=NAME -f sites.awk FILE
# SPDX-License-Identifier: Apache-2.0

# mask(text): the text with all that is in strings and comments replaced by "_". Sets in_string for strings of several
# lines.
function mask(text,    out, i, c, mode, depth) {
    out = ""
    # The strings around the place: after "\(" the text is code again.
    mode = in_string ? "\"\"\"" : ""
    depth = 0
    for (i = 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        if (mode != "") {
            if (substr(text, i, 2) == "\\(" ) {
                # What is interpolated is masked too; only its end must be found.
                depth = 1
                out = out "__"
                for (i += 2; i <= length(text) && depth > 0; i++) {
                    c = substr(text, i, 1)
                    if (c == "(") depth++
                    if (c == ")") depth--
                    out = out "_"
                }
                i--
                continue
            }
            if (c == "\\") {
                out = out "__"
                i++
                continue
            }
            if (substr(text, i, length(mode)) == mode) {
                out = out substr("___", 1, length(mode))
                i += length(mode) - 1
                mode = ""
                in_string = 0
                continue
            }
            out = out "_"
            continue
        }
        if (substr(text, i, 2) == "//") {
            while (i++ <= length(text)) out = out "_"
            break
        }
        if (substr(text, i, 3) == "\"\"\"") {
            mode = "\"\"\""
            in_string = 1
            out = out "___"
            i += 2
            continue
        }
        if (c == "\"") {
            mode = c
            out = out "_"
            continue
        }
        out = out c
    }
    return substr(out, 1, length(text))
}

# balance(text): how many more of ( and [ it opens than it closes.
function balance(text,    i, c, sum) {
    sum = 0
    for (i = 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        if (c == "(" || c == "[") sum++
        if (c == ")" || c == "]") sum--
    }
    return sum
}

# at_depth_0(text, word, from): where the word stands outside all brackets of the text; 0 if nowhere.
function at_depth_0(text, word, from,    i, c, sum) {
    sum = 0
    for (i = 1; i <= length(text); i++) {
        if (sum == 0 && i >= from && substr(text, i, length(word)) == word) return i
        c = substr(text, i, 1)
        if (c == "(" || c == "[" || c == "{") sum++
        if (c == ")" || c == "]" || c == "}") sum--
    }
    return 0
}

function indentation(text) {
    match(text, /^ */)
    return RLENGTH
}

function trim(text) {
    gsub(/^ +| +$/, "", text)
    return text
}

# add(last, kind, before, after, first_text, last_text): a place that begins with the line `line`.
function add(last, kind, before, after, first_text, last_text) {
    gsub(/\t/, " ", before)
    printf "%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\n", file, line, last, kind, trim(before), trim(after), first_text, last_text
}

# change(raw, masked, n): the expression with its n-th operator, function or constant changed; "" if it has fewer. Sets
# changed_kind.
function change(raw, masked, n,    i, j, from, to, seen, best, which, place) {
    seen = 0
    place = 1
    while (1) {
        best = 0
        for (j = 1; j <= change_count; j++) {
            i = index(substr(masked, place), change_from[j])
            if (i && (!best || i < best || i == best && length(change_from[j]) > length(change_from[which]))) {
                best = i
                which = j
            }
        }
        if (!best) return ""
        i = place + best - 1
        from = change_from[which]
        to = change_to[which]
        # Not texts that are joined.
        if (from == " + " && (substr(masked, i - 1, 1) == "_" || substr(masked, i + 3, 1) == "_")) {
            place = i + length(from)
            continue
        }
        if (++seen == n) {
            changed_kind = change_kind[which]
            return substr(raw, 1, i - 1) to substr(raw, i + length(from))
        }
        place = i + length(from)
    }
}

# split_try(text): sets try_part to "try " or "" and returns the rest.
function split_try(text) {
    try_part = ""
    if (text ~ /^try /) {
        try_part = "try "
        return substr(text, 5)
    }
    return text
}

# expression(prefix, raw, masked, suffix): each change of an expression that ends a line.
function expression(prefix, raw, masked, suffix,    n, changed, rest) {
    if (masked ~ /^(try )?(if|switch|await) / || masked ~ /[{}]/) return
    for (n = 1; (changed = change(raw, masked, n)) != ""; n++) {
        rest = split_try(raw)
        add(line, changed_kind, prefix raw suffix, prefix changed suffix, \
            prefix try_part "(mutant(@) ? (" split_try(changed) ") : (" rest "))" suffix, "")
    }
    if (masked ~ /^[0-9][0-9_]*$/)
        add(line, "number", prefix raw suffix, prefix raw " + 1" suffix, \
            prefix "(mutant(@) ? " raw " + 1 : " raw ")" suffix, "")
}

# condition(word, prefix, raw, masked, suffix): changes of what "guard", "if" or "while" tests.
function condition(word, prefix, raw, masked, suffix,    start, stop, clause, masked_clause, head, tail, rest, n, \
                   changed, found) {
    start = 1
    while (start <= length(raw)) {
        stop = at_depth_0(masked, ", ", start)
        if (!stop) stop = length(raw) + 1
        clause = substr(raw, start, stop - start)
        masked_clause = substr(masked, start, stop - start)
        if (clause == "true") return
        if (masked_clause !~ /^(let|var|case|#available) / && masked_clause !~ /[{}]/) {
            found = 1
            head = prefix substr(raw, 1, start - 1)
            tail = substr(raw, stop) suffix
            rest = split_try(clause)
            if (word == "guard")
                add(line, "unguarded", head clause tail, head "true" tail, \
                    head try_part "(mutant(@) ? true : (" rest "))" tail, "")
            else
                add(line, "never", head clause tail, head "false" tail, \
                    head try_part "(mutant(@) ? false : (" rest "))" tail, "")
            if (word == "if")
                add(line, "always", head clause tail, head "true" tail, \
                    head try_part "(mutant(@) ? true : (" rest "))" tail, "")
            for (n = 1; (changed = change(clause, masked_clause, n)) != ""; n++) {
                rest = split_try(clause)
                add(line, changed_kind, head clause tail, head changed tail, \
                    head try_part "(mutant(@) ? (" split_try(changed) ") : (" rest "))" tail, "")
            }
        }
        start = stop + 2
    }
    if (!found) {
        add(line, word == "guard" ? "refused" : "never", prefix raw suffix, prefix "false, " raw suffix, \
            prefix "!mutant(@), " raw suffix, "")
    }
}

# statement(i): what the statement that begins with line i offers.
function statement(i,    text, masked, indent, head, word, stop, suffix, last, first_text, rest) {
    line = i
    text = raw_line[i]
    masked = masked_line[i]
    indent = indentation(text)
    head = substr(text, 1, indent)
    text = substr(text, indent + 1)
    masked = substr(masked, indent + 1)
    if (masked ~ /^case [^=]*: (return|throw|try|[a-z_])/ && masked !~ /^case [^=]*: *$/) {
        stop = at_depth_0(masked, ": ", 1)
        head = head substr(text, 1, stop + 1)
        text = substr(text, stop + 2)
        masked = substr(masked, stop + 2)
    }
    # Conditions.
    if (match(masked, /^(guard|if|while|\} else if) /)) {
        if (balance(masked) != 0) return
        word = masked ~ /^guard/ ? "guard" : masked ~ /^while/ ? "while" : "if"
        prefix = substr(text, 1, RLENGTH)
        stop = at_depth_0(substr(masked, RLENGTH + 1), word == "guard" ? " else {" : " {", 1)
        if (!stop) return
        suffix = substr(text, RLENGTH + stop)
        condition(word, head prefix, substr(text, RLENGTH + 1, stop - 1), substr(masked, RLENGTH + 1, stop - 1), suffix)
        return
    }
    # The last of a range.
    if (match(masked, /^for [a-z_A-Z]+ in [^ ]*\.\.</) && masked ~ / \{$/ && masked !~ / where /) {
        prefix = substr(text, 1, RLENGTH)
        rest = substr(text, RLENGTH + 1, length(text) - RLENGTH - 2)
        add(i, "last", head text, head prefix rest " - 1 {", head prefix "(mutant(@) ? (" rest ") - 1 : (" rest ")) {", "")
        return
    }
    if (match(masked, /^for .* where /) && masked ~ / \{$/) {
        prefix = substr(text, 1, RLENGTH)
        rest = substr(text, RLENGTH + 1, length(text) - RLENGTH - 2)
        add(i, "always", head text, head prefix "true {", head prefix "(mutant(@) ? true : (" rest ")) {", "")
        return
    }
    # A body in one line.
    if (match(masked, /^[^{}]*\{ /) && masked ~ / \}$/ && masked !~ /^(do|for|switch|enum|struct|import|init)/) {
        prefix = substr(text, 1, RLENGTH)
        rest = substr(text, RLENGTH + 1, length(text) - RLENGTH - 2)
        if (masked ~ /^(defer|deinit|func|private func|package func|public func|mutating func|package mutating func|private mutating func) / && masked !~ / -> / && rest !~ /^(return|let|var) /)
            add(i, "deletion", head text, head prefix "}", head prefix "if !mutant(@) { " rest " } }", "")
        else if (masked ~ /(var|func) /)
            expression(head prefix, rest, substr(masked, RLENGTH + 1, length(text) - RLENGTH - 2), " }")
        return
    }
    # A store of an initializer, without which nothing compiles.
    if (masked ~ /^self\.[a-zA-Z]+ = [a-zA-Z]+$/ && masked == "self." substr(masked, index(masked, "= ") + 2) " = " substr(masked, index(masked, "= ") + 2)) return
    # Statements that end with the line or with a later one.
    sum = balance(masked_line[i])
    for (last = i; sum > 0 && last < NR; ) sum += balance(masked_line[++last])
    if (last - i > 8 || masked_line[last] ~ /[{]$/ || last < NR && indentation(raw_line[last + 1]) > indent && raw_line[last + 1] != "")
        return
    rest = ""
    for (stop = i; stop <= last; stop++) rest = rest (stop > i ? " " : "") trim(stop > i ? raw_line[stop] : text)
    if (masked ~ /^(throw|continue|break|return)( |$)/ && masked !~ /^return ./ ||
        masked ~ /^(try[?]? )?[a-z_A-Z][A-Za-z_0-9.?]*(\[[^]]*\])?[?]?\.?[A-Za-z_0-9]*\(.*\)?$/ && masked !~ /[{}]/ && masked !~ /^(let|var|return|case|if|guard|default|self\.init|super\.init)[ (]/ && masked_line[last] ~ /\)$/ ||
        masked ~ /^(_|[a-z][A-Za-z_0-9.?]*(\[[^]]*\])?[A-Za-z_0-9.?]*) = / && masked !~ /[{}]/) {
        if (last == i)
            add(i, "deletion", head text, head "(deleted)", head "if !mutant(@) { " text " }", "")
        else
            add(last, "deletion", head rest, head "(deleted)", head "if !mutant(@) { " text, raw_line[last] " }")
    }
    if (last > i || masked ~ /[{}]/) return
    if (match(masked, /^[a-z][A-Za-z_0-9.?]* [-+]= /)) {
        first_text = text
        word = substr(masked, RLENGTH - 2, 1)
        rest = substr(text, 1, RLENGTH - 3) (word == "+" ? "-" : "+") substr(text, RLENGTH - 1)
        add(i, "deletion", head text, head "(deleted)", head "if !mutant(@) { " text " }", "")
        expression(head substr(text, 1, RLENGTH), substr(text, RLENGTH + 1), substr(masked, RLENGTH + 1), "")
        return
    }
    if (match(masked, /^return /) || match(masked, /^((private|package|public|static|fileprivate) )*(let|var) [a-zA-Z_]+(: [A-Za-z0-9?.]+)? = /) || match(masked, /^[a-z][A-Za-z_0-9.]* = /)) {
        expression(head substr(text, 1, RLENGTH), substr(text, RLENGTH + 1), substr(masked, RLENGTH + 1), "")
        return
    }
    # The only expression of a body.
    if (masked_line[i - 1] ~ /(\{|-> [A-Za-z0-9?]+ in|[^_]: )$/ && raw_line[i + 1] ~ /^ *\}/ || head ~ /: $/)
        expression(head, text, masked, "")
}

BEGIN {
    offer(" < ", " <= ", "boundary")
    offer(" <= ", " < ", "boundary")
    offer(" > ", " >= ", "boundary")
    offer(" >= ", " > ", "boundary")
    offer(" == ", " != ", "equality")
    offer(" != ", " == ", "equality")
    offer(" && ", " || ", "logic")
    offer(" || ", " && ", "logic")
    offer(" + ", " - ", "arithmetic")
    offer(" - ", " + ", "arithmetic")
    offer(" * ", " + ", "arithmetic")
    offer(" / ", " * ", "arithmetic")
    offer(" % ", " / ", "arithmetic")
    offer(" &+ ", " &- ", "arithmetic")
    offer(" &- ", " &+ ", "arithmetic")
    offer(" << ", " >> ", "arithmetic")
    offer(" >> ", " << ", "arithmetic")
    offer(" & ", " | ", "arithmetic")
    offer(" | ", " & ", "arithmetic")
    offer("min(", "max(", "call")
    offer("max(", "min(", "call")
    offer(".first", ".last", "call")
    offer(".last", ".first", "call")
    offer("true", "false", "constant")
    offer("false", "true", "constant")
    offer(".union(", ".intersection(", "call")
    offer(".lowerBound", ".upperBound", "call")
    offer(".upperBound", ".lowerBound", "call")
    offer(".dropFirst(", ".dropLast(", "call")
    offer(".prefix(", ".suffix(", "call")
    offer(".suffix(", ".prefix(", "call")
}

function offer(from, to, kind) {
    change_count++
    change_from[change_count] = from
    change_to[change_count] = to
    change_kind[change_count] = kind
}

{
    raw_line[NR] = $0
    masked_line[NR] = mask($0)
    depth_before[NR] = depth
    depth += balance(masked_line[NR])
}

END {
    previous = 0
    for (i = 1; i <= NR; i++) {
        code = masked_line[i]
        if (code ~ /^ *_*$/ || raw_line[i] ~ /^ *\/\//) continue
        # A statement begins after one of its own block, or as the first of a block.
        if (depth_before[i] == 0 && previous && (indentation(raw_line[previous]) >= indentation(raw_line[i]) || masked_line[previous] ~ /(\{| in|:)$/) && trim(code) !~ /^[.?:&|+)\]}]/ || trim(code) ~ /^\} else if /)
            statement(i)
        previous = i
    }
}
