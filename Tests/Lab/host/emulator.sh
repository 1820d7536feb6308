# shellcheck shell=bash
# A fault of QEMU's multi-threaded translator that kills a guest now and then (seen with 7.2). The kernel patches its code
# while it runs: it writes an int3, tells the other processors, and writes the new instruction. A processor that
# translates the page meanwhile can keep the translation with the int3, and executes it when nobody expects it any more.
# SPDX-License-Identifier: Apache-2.0

# ran_stale_code CONSOLE: whether the guest's kernel died of an int3 that is not in its memory. The kernel prints the bytes
# around the instruction pointer, which stands behind the int3: the byte before it was executed, and is another one.
ran_stale_code() {
    tr -d '\r' <"$1" | awk '
        /Oops: / && !oops { oops = $0 }
        /\] Code: .*<[0-9a-f][0-9a-f]>/ && !code { code = $0 }
        END {
            if (oops !~ /Oops: int3: /) exit 1
            sub(/ <.*$/, "", code)
            exit code !~ / [0-9a-f][0-9a-f]$/ || code ~ / cc$/
        }'
}
