# shellcheck shell=bash
# The kernel's own tools that the tests use: its selftests ncdevmem and iou-zcrx, and checkpatch.pl. No Debian package
# contains them, so they come from the kernel's source package, of which nothing else is kept.
# SPDX-License-Identifier: Apache-2.0

# checkpatch.pl and the lists that it reads.
readonly checkpatch_files=(scripts/{checkpatch.pl,const_structs.checkpatch,spelling.txt})

# The parts of the source: the selftests and ncdevmem's netlink library, whose generator finds the root by MAINTAINERS.
readonly peer_sources=(
    MAINTAINERS Documentation/netlink include/uapi tools/net/ynl tools/scripts
    tools/testing/selftests/drivers/net/hw/{ncdevmem,iou-zcrx}.c "${checkpatch_files[@]}"
)

# A new kernel outdates them; a new compiler does not.
peers_stamp() { recipe_hash "$lab_dir"/host/{debian,peers}.sh "$cache/image/release"; }

# Runs in the build root, whose compiler compiles the source. The generator's Python is in another tree with its own
# libraries. The library's own makefiles build it, as for the selftests. Debian's liburing is older than zero-copy
# receive; newer kernel headers and the definitions below provide what iou-zcrx.c needs.
readonly peers_build='
    cd /build
    cat >bin/python3 <<"END"
#!/bin/sh
libraries=/build/tree/usr/lib/x86_64-linux-gnu
export PYTHONHOME=/build/tree/usr PYTHONDONTWRITEBYTECODE=1
exec $libraries/ld-linux-x86-64.so.2 --library-path $libraries /build/tree/usr/bin/python3 "$@"
END
    chmod +x bin/python3
    PATH=/build/bin:$PATH
    cat >zcrx.h <<"END"
#include <linux/io_uring.h>
#define io_uring_register_ifq(ring, registration) \
    io_uring_register((ring)->ring_fd, IORING_REGISTER_ZCRX_IFQ, registration, 1)
struct io_uring_zcrx_rq {
    unsigned *khead, *ktail, rq_tail, ring_entries;
    struct io_uring_zcrx_rqe *rqes;
};
END
    ynl=source/tools/net/ynl tests=source/tools/testing/selftests/drivers/net/hw
    make -C $ynl CC=cc GENS="ethtool netdev" RSTS= libynl.a
    cc -O2 -static -s -isystem tree/usr/include -I$ynl/lib -I$ynl/generated -o ncdevmem \
        $tests/ncdevmem.c $ynl/libynl.a
    cc -O2 -w -static -s -isystem tree/usr/include -include zcrx.h -o iou-zcrx $tests/iou-zcrx.c \
        tree/usr/lib/x86_64-linux-gnu/liburing.a
'

fill_peers() {
    local folder=$1 release series name
    release=$(<"$cache/image/release")
    series=$(cut -d. -f1,2 <<<"$release")
    name=linux-source-$series
    unpack_packages "$folder/tree" liburing-dev python3 python3-jsonschema python3-yaml \
        "linux-libc-dev/$debian_release-backports" "$name/$debian_release-backports"
    mkdir "$folder/source" "$folder/bin"
    quietly "unpacking the kernel's source" "$folder/build.log" \
        env XZ_DEFAULTS=-T0 tar -C "$folder/source" --strip-components=1 \
        -xJf "$folder/tree/usr/src/$name.tar.xz" "${peer_sources[@]/#/$name/}"
    quietly "building ncdevmem and iou-zcrx" "$folder/build.log" in_buildroot "$folder" sh -euc "$peers_build"
    rm -rf "${folder:?}"/bin
    mkdir "$folder"/{bin,scripts}
    mv -- "$folder"/{ncdevmem,iou-zcrx} "$folder/bin/"
    mv -- "${checkpatch_files[@]/#/$folder/source/}" "$folder/scripts/"
    rm -rf "${folder:?}"/{source,tree,zcrx.h,build.log}
    (cd "$folder" && sha256sum bin/* scripts/* >MANIFEST)
}

peers_are_whole() { artefact_is_whole peers "$(peers_stamp)"; }

# The caller holds the exclusive lock.
ensure_peers() {
    if peers_are_whole; then return; fi
    ((EUID == 0)) || die "building ncdevmem and iou-zcrx needs root; run it as root once"
    ensure_image
    say "building the kernel's ncdevmem and iou-zcrx from its source package (170 MB, about a minute)"
    make_artefact peers "$(peers_stamp)" fill_peers
}
