# shellcheck shell=bash
# The virtual machine: QEMU's arguments, and which accelerator to use.
# SPDX-License-Identifier: Apache-2.0

readonly probe_limit=20

# The reserved memory for the registers of the software devices. The machine must have memory at this address, which is
# the same for every size of the machine.
readonly register_memory='16M$0x70000000' least_mebibytes=2048

# Adds the NIC of a guest of a pair to `machine`: QEMU's link carries its frames to that of the other guest. The far guest
# also has a port on which the host tells it to end.
describe_link() {
    local server=off address=52:54:00:00:00:01
    if [[ $link == far ]]; then
        server=on address=52:54:00:00:00:02
        machine+=(-chardev "pipe,id=control,path=$work/control"
            -device "virtserialport,chardev=control,name=control")
    fi
    machine+=(-netdev "stream,id=link,server=$server,addr.type=unix,addr.path=$link_socket"
        -device "virtio-net-pci,netdev=link,mac=$address,romfile=")
}

# Sets the array `machine` to the QEMU command for one boot with the files under $work.
describe_machine() {
    local accelerator=$1 arguments ports=virtio-serial-pci port
    arguments="console=ttyS0 quiet loglevel=5 panic=-1 mitigations=off log_buf_len=4M rdinit=/lab/guest/init"
    machine=(qemu-system-x86_64 -no-user-config -nodefaults -display none -no-reboot -M q35 -m "$memory")
    case $accelerator in
    kvm)
        machine+=(-accel kvm -cpu host -smp "$cpus")
        ;;
    tcg)
        # Without erms and fsrm the kernel copies words; the emulator executes "rep movsb" byte by byte.
        machine+=(-accel "tcg,thread=multi" -cpu "max,-erms,-fsrm" -smp "$cpus")
        # The emulator keeps the translation of code at one address. With programs and libraries at other addresses in each
        # process, it would translate bash or the C library again whenever a process starts.
        arguments+=" norandmaps"
        ;;
    icount)
        # Guest time is the count of instructions, the same in every boot. Without ioeventfd the processor that writes
        # to a port serves it, at a time that does not depend on the host.
        ports+=,ioeventfd=off
        machine+=(-accel "tcg,thread=single" -icount "shift=0,align=off,sleep=off" -smp 1 -seed 1
            -rtc "base=2026-01-01T00:00:00,clock=vm" -cpu "max,-erms,-fsrm,-rdrand,-rdseed")
        arguments+=" nokaslr norandmaps tsc=reliable"
        ;;
    esac
    if uses_devices; then arguments+=" memmap=$register_memory"; fi
    if ((hugepages)); then arguments+=" hugepages=$hugepages"; fi
    machine+=(-kernel "$work/vmlinuz" -initrd "$work/initramfs" -append "$arguments${append:+ $append}"
        -serial "file:$work/console" -device "$ports")
    if [[ $mode == shell ]]; then
        machine+=(-chardev "stdio,id=terminal,signal=off" -device "virtconsole,chardev=terminal")
    fi
    for port in status stdout stderr; do
        machine+=(-chardev "file,id=$port,path=$work/$port"
            -device "virtserialport,chardev=$port,name=$port")
    done
    if [[ -n $link ]]; then describe_link; fi
}

# The result of the KVM test is valid for this kernel on this processor.
accelerator_record() {
    local host
    host=$(uname -r; grep -m1 '^model name' /proc/cpuinfo || true)
    printf '%s/accel-%s\n' "$cache_root" "$(sha256sum <<<"$host" | cut -c1-16)"
}

# Sets `accelerator`. /dev/kvm can be opened and still not run a kernel, so only a boot shows whether KVM works.
choose_accelerator() {
    local record
    if ((icount)); then
        accelerator=icount
        return
    fi
    case ${DEVMEMTCP_LAB_ACCEL:-} in
    tcg | kvm)
        accelerator=$DEVMEMTCP_LAB_ACCEL
        return
        ;;
    '') ;;
    *) usage_error "DEVMEMTCP_LAB_ACCEL is tcg or kvm, not $DEVMEMTCP_LAB_ACCEL" ;;
    esac
    accelerator=tcg
    if [[ ! -r /dev/kvm || ! -w /dev/kvm ]]; then return; fi
    record=$(accelerator_record)
    if [[ ! -s $record ]]; then
        if probe_kvm; then accelerator=kvm; fi
        say "this host will use $accelerator"
        # Renamed into place, so that another run never reads half a file.
        printf '%s\n' "$accelerator" >"$record.$$" && mv "$record.$$" "$record"
    fi
    accelerator=$(<"$record")
}

# Boots the image with KVM and runs `true`.
probe_kvm() {
    (
        mode=run link='' command_line=(true) limit=$probe_limit unload=0 boot_limit=$probe_limit
        reset_channels
        with_cache_lock shared make_initramfs "$work/initramfs"
        describe_machine kvm
        start_machine 2>/dev/null
        follow_guest
        stop_machine
        [[ $outcome == ended && $guest_status == 0 ]]
    )
}
