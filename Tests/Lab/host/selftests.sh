# shellcheck shell=bash
# The kernel's own selftests of NIC drivers, for "scripts/lab run --selftests", built from the kernel's source package,
# with the Python that runs them. They become an archive that is unpacked over the base initramfs.
# SPDX-License-Identifier: Apache-2.0

readonly selftest_packages=(
    bpftool gcc-bpf libbpf-dev linux-libc-dev linux-source python3 python3-jsonschema python3-yaml
)

# The parts of the source: the tests, what they include, and the netlink library.
readonly selftest_sources=(
    MAINTAINERS Documentation/netlink include/uapi tools/net/ynl tools/scripts
    tools/testing/selftests/{kselftest.h,net/lib,net/lib.sh,drivers/net}
)

# Modules that the tests' traffic control, tunnels and filters need, besides those of the image.
readonly selftest_modules=(
    act_gact act_skbedit cls_bpf cls_fw cls_matchall ip6_gre ip6_tunnel ip_gre ipip netconsole
    sch_etf sch_mqprio sch_prio sit vxlan
)

# The parts of the packages that the guest gets: Python, its libraries, and bpftool.
readonly selftest_files=(
    usr/bin/python3 usr/bin/python3.13 usr/lib/python3.13 usr/lib/python3/dist-packages/yaml
    usr/lib/python3/dist-packages/_yaml usr/sbin/bpftool
    usr/lib/x86_64-linux-gnu/lib{expat,ffi,yaml-0}.so.\*
)

# Parts of Python's library that no test loads.
readonly selftest_unwanted=(
    __pycache__ _pyrepl asyncio config-\* curses dbm ensurepip idlelib pydoc_data sqlite3 test
    tkinter turtle.py unittest venv wsgiref xmlrpc lib-dynload/_{asyncio,codecs,curses,dbm,gdbm,sqlite3,test}\*
)

selftests_stamp() { recipe_hash "$lab_dir"/host/{debian,image,addition,selftests}.sh "$cache/image/release"; }

# Runs in the build root, whose compiler makes the programs that are no peers. The generator's Python and the compiler
# for BPF are in another tree.
readonly selftests_build='
    cd /build
    libraries=/build/tree/usr/lib/x86_64-linux-gnu
    tests=source/tools/testing/selftests ynl=source/tools/net/ynl
    cat >bin/python3 <<"END"
#!/bin/sh
libraries=/build/tree/usr/lib/x86_64-linux-gnu
export PYTHONHOME=/build/tree/usr
exec $libraries/ld-linux-x86-64.so.2 --library-path $libraries /build/tree/usr/bin/python3 "$@"
END
    chmod +x bin/python3
    PATH=/build/bin:$PATH
    export PYTHONDONTWRITEBYTECODE=1
    make -C $ynl CC=cc GENS="ethtool netdev" RSTS= libynl.a
    compile() {
        program=$tests/$1
        shift
        cc -O2 -w -static -s -isystem tree/usr/include -I$tests -I$ynl/lib -I$ynl/generated \
            "$@" -o $program $program.c $ynl/libynl.a
    }
    for program in net/lib/csum net/lib/gro net/lib/xdp_helper drivers/net/napi_id_helper \
        drivers/net/so_txtime drivers/net/hw/toeplitz; do
        compile $program
    done
    for program in $tests/net/lib/*.bpf.c $tests/drivers/net/hw/*.bpf.c; do
        LD_LIBRARY_PATH=$libraries tree/usr/bin/bpf-gcc -O2 -gbtf -idirafter tree/usr/include \
            -idirafter tree/usr/include/x86_64-linux-gnu -c -o ${program%.c}.o $program
    done
'

# Compiled files save most of Python's start-up time in an emulated guest. They contain no timestamps, as the archive
# changes those of the sources. The libraries keep only their compiled files; the tests keep their sources, which they
# print when they fail.
readonly selftests_compile='
    cd /build
    PATH=/build/bin:$PATH
    python3 -m compileall -q -b -s /build/guest -p / --invalidation-mode unchecked-hash guest/usr/lib
    find guest/usr/lib/python3* -name "*.py" -delete
    python3 -m compileall -q -s /build/guest -p / --invalidation-mode unchecked-hash guest/lab
'

# Installs the tests as "make install" does; kselftest-list.txt shows them that they are installed.
lay_out_selftests() {
    local source=$1 tests=$2
    mkdir -p "$tests/net" "$tests/drivers/net/hw"
    cp -a "$source"/tools/testing/selftests/net/{lib,lib.sh} "$tests/net/"
    cp -a "$source"/tools/testing/selftests/drivers/net/{*.py,lib,napi_id_helper,so_txtime} "$tests/drivers/net/"
    cp -a "$source"/tools/testing/selftests/drivers/net/hw/{*.py,*.bpf.o,lib,toeplitz} \
        "$tests/drivers/net/hw/"
    mkdir -p "$tests/net/lib/ynl"
    cp -a "$source/tools/net/ynl/pyynl" "$tests/net/lib/ynl/"
    cp -a "$source/Documentation/netlink/specs" "$tests/net/lib/"
    find "$tests" \( -name '*.c' -o -name Makefile -o -name .gitignore \) -delete
    printf 'drivers/net\ndrivers/net/hw\n' >"$tests/kselftest-list.txt"
}

fill_selftests() {
    local folder=$1 release series name packages file
    release=$(<"$cache/image/release")
    series=$(cut -d. -f1,2 <<<"$release")
    name=linux-source-$series
    # Packages that belong to the kernel have the kernel's version.
    mapfile -t packages < <(printf '%s\n' "${selftest_packages[@]}" |
        sed "s/^linux-source$/$name/; /^linux-\|^bpftool$/s|\$|/$debian_release-backports|")
    unpack_packages "$folder/tree" "${packages[@]}"
    mkdir -p "$folder"/{source,bin} "$folder/guest/usr/lib/modules/$release"
    quietly "unpacking the kernel's source" "$folder/build.log" \
        env XZ_DEFAULTS=-T0 tar -C "$folder/source" --strip-components=1 \
        -xJf "$folder/tree/usr/src/$name.tar.xz" "${selftest_sources[@]/#/$name/}"
    quietly "building the selftests" "$folder/build.log" in_buildroot "$folder" sh -euc "$selftests_build"
    lay_out_selftests "$folder/source" "$folder/guest/lab/selftests"
    # The lists hold patterns.
    # shellcheck disable=SC2068
    (cd "$folder/tree" && cp -a --parents ${selftest_files[@]} "$folder/guest/")
    # shellcheck disable=SC2068
    (cd "$folder/guest/usr/lib/python3.13" && rm -rf ${selftest_unwanted[@]})
    add_modules "$folder/guest" "${selftest_modules[@]}"
    drop_known_files "$folder/guest"
    quietly "compiling Python" "$folder/build.log" in_buildroot "$folder" sh -euc "$selftests_compile"
    find "$folder/guest" -exec touch --no-dereference --date=@0 {} +
    pack_addition "$folder" "$folder/guest"
    rm -rf "${folder:?}"/{bin,guest,source,tree,build.log}
}

selftests_are_whole() { artefact_is_whole selftests "$(selftests_stamp)"; }

# The caller holds the exclusive lock.
ensure_selftests() {
    if selftests_are_whole; then return; fi
    ((EUID == 0)) || die "building the kernel's selftests needs root; run it as root once"
    ensure_image
    ensure_buildroot
    say "building the kernel's selftests from its source package (210 MB, under a minute)"
    make_artefact selftests "$(selftests_stamp)" fill_selftests
}
