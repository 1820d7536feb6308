# shellcheck shell=bash
# The image that boots: the kernel, and a base initramfs with a small Debian userland.
# SPDX-License-Identifier: Apache-2.0

readonly guest_packages=(
    base-files base-passwd bash coreutils dash diffutils ethtool findutils grep hostname iperf3
    iproute2 iputils-ping jq kmod libcap2-bin libgcc-s1 libnl-3-200 libnl-genl-3-200 libseccomp2
    libstdc++6 libudev1 mawk mount ncurses-base netbase netcat-openbsd procps psmisc sed socat strace tar
    util-linux
)

# Modules that the tests need, and the drivers of the NICs that labdevices emulates.
readonly guest_modules=(
    8021q act_mirred bonding bridge cls_flower cls_u32 dummy ifb ipvlan loop macvlan nf_tables sch_fq
    sch_htb sch_ingress sch_netem sch_tbf tcp_bbr tls tun unix_diag veth
    gve mlx5_core
)

# The guest does not need these files, and every megabyte takes boot time.
readonly guest_unwanted=(
    boot build dev/\* etc/apt etc/dpkg etc/systemd usr/lib/apt usr/lib/dpkg usr/lib/systemd
    usr/lib/udev usr/lib/x86_64-linux-gnu/gconv usr/lib/x86_64-linux-gnu/perl-base usr/bin/perl\*
    usr/share/bash-completion usr/share/bug usr/share/doc usr/share/info usr/share/lintian
    usr/share/locale usr/share/man usr/share/perl5 usr/share/zoneinfo usr/share/zsh var/cache/\*
    var/lib/apt var/lib/dpkg var/log/\*
)

# A new kernel in the build root outdates the image.
image_stamp() {
    recipe_hash "$lab_dir"/host/{kernel,debian,buildroot,image}.sh "$cache/buildroot/release"
}

# Does the few things that the scripts of the packages would have done.
configure_userland() {
    local tree=$1
    cp "$tree/usr/share/base-passwd/passwd.master" "$tree/etc/passwd"
    cp "$tree/usr/share/base-passwd/group.master" "$tree/etc/group"
    printf 'passwd: files\ngroup: files\nhosts: files\n' >"$tree/etc/nsswitch.conf"
    ln -sf mawk "$tree/usr/bin/awk"
    ln -sf nc.openbsd "$tree/usr/bin/nc"
    printf 'lab\n' >"$tree/etc/hostname"
    printf '127.0.0.1 localhost lab\n::1 localhost lab\n' >"$tree/etc/hosts"
    rm -f "$tree/etc/resolv.conf" "$tree/etc/fstab"
}

# copy_modules TREE RELEASE MODULE...: copies modules and their dependencies, and makes an index.
copy_modules() {
    local tree=$1 release=$2 module_files=() file
    local from=$cache/buildroot/tree
    shift 2
    mapfile -t module_files < <(
        for file; do
            modprobe --dirname "$from" --set-version "$release" --show-depends "$file" ||
                die "kernel $release has no module $file"
        done | awk '$1 == "insmod" { print $2 }' | sort -u
    )
    for file in "${module_files[@]}"; do
        install -D -m 0644 "$file" "$tree/${file#"$from"/}"
    done
    cp "$from/usr/lib/modules/$release"/modules.{builtin,builtin.modinfo,order} \
        "$tree/usr/lib/modules/$release/"
    depmod --basedir "$tree" "$release"
}

# Removes what the base initramfs contains already, except the index of modules, which is new.
drop_known_files() {
    local tree=$1 known
    while IFS= read -r known; do
        if [[ $known != usr/lib/modules/*/modules.* && -e $tree/$known && ! -d $tree/$known ]]; then
            rm -- "$tree/$known"
        fi
    done < <(zstd -q -d -c "$cache/image/initramfs" | cpio --quiet --list)
    find "$tree" -type d -empty -delete
}

pack_initramfs() {
    (cd "$1" && find . -mindepth 1 | LC_ALL=C sort |
        cpio --quiet --create --format=newc --reproducible --owner=+0:+0)
}

remove_unwanted() {
    local tree=$1 unwanted
    for unwanted in "${guest_unwanted[@]}"; do
        # The list holds patterns.
        # shellcheck disable=SC2086
        rm -rf "${tree:?}"/$unwanted
    done
}

# copy_kernel RELEASE TO: copies the kernel itself, which newer packages have beside the modules and older ones in /boot.
copy_kernel() {
    local tree=$cache/buildroot/tree file
    for file in "$tree/usr/lib/modules/$1/vmlinuz" "$tree/boot/vmlinuz-$1"; do
        if [[ -e $file ]]; then
            cp "$file" "$2"
            return
        fi
    done
    die "the kernel package of $1 holds no vmlinuz"
}

fill_image() {
    local folder=$1 tree=$1/tree release
    release=$(<"$cache/buildroot/release")
    unpack_packages "$tree" "${guest_packages[@]}"
    remove_unwanted "$tree"
    configure_userland "$tree"
    copy_modules "$tree" "$release" "${guest_modules[@]}"
    mkdir -p "$tree"/{dev,proc,sys,run,tmp,root,lab,mnt}
    pack_initramfs "$tree" | zstd -q -T0 -10 -o "$folder/initramfs"
    rm -rf "$tree"
    copy_kernel "$release" "$folder/vmlinuz"
    cp "$cache/buildroot/release" "$folder/release"
    (cd "$folder" && sha256sum vmlinuz initramfs release >MANIFEST)
}

image_is_whole() { artefact_is_whole image "$(image_stamp)"; }

# The caller holds the exclusive lock.
ensure_image() {
    if image_is_whole; then return; fi
    ensure_buildroot
    say "making the guest's initramfs (under a minute)"
    make_artefact image "$(image_stamp)" fill_image
}
