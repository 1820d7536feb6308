import CSeccomp
import DevmemCore
import Glibc
import SystemPackage

/// A filter of system calls (seccomp(2)) for what moves payload.
///
/// It refuses, with EPERM, the calls by which a process that was taken over would go further: running
/// programs, reading and changing other processes, mounts, namespaces, kernel modules and the like.
/// It does not list what is allowed, as the C library, Swift's runtime and a GPU's driver decide what
/// they call.
enum SystemCallFilter {
    /// The threads that a filter applies to, with all that they create later.
    enum Scope {
        case thread
        case process
    }

    /// The refused calls; names that the architecture does not have are passed over.
    static let refused = [
        // Other programs and processes.
        "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise",
        "process_mrelease", "kcmp", "pidfd_getfd", "userfaultfd", "personality",
        // Other users.
        "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid",
        "setfsgid",
        "setgroups",
        // Mounts, namespaces and files without a path.
        "mount", "umount", "umount2", "move_mount", "open_tree", "mount_setattr", "fsopen",
        "fsconfig", "fsmount", "fspick", "pivot_root", "chroot", "setns", "unshare", "mknod",
        "mknodat", "name_to_handle_at", "open_by_handle_at",
        // The kernel and the host.
        "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "bpf",
        "perf_event_open", "add_key", "request_key", "keyctl", "iopl", "ioperm", "reboot", "swapon",
        "swapoff", "acct", "quotactl", "quotactl_fd", "syslog", "sethostname", "setdomainname",
        "settimeofday", "stime", "clock_settime", "clock_settime64", "clock_adjtime", "adjtimex",
    ]

    /// Installs the filter for good.
    ///
    /// - Parameter scope: the threads.
    /// - Throws: `DevmemError` of kind `system` if the kernel has no such filters, or a thread of the
    ///   process has a filter of its own.
    static func install(for scope: Scope) throws(DevmemError) {
        let call = "install a filter of system calls"
        guard let filter = seccomp_init(cdm_SCMP_ACT_ALLOW) else {
            throw DevmemError(.system, call: call, errno: .noMemory)
        }
        defer { seccomp_release(filter) }
        for name in refused {
            let number = seccomp_syscall_resolve_name(name)
            guard number != cdm_NR_SCMP_ERROR else { continue }
            try check(seccomp_rule_add_array(filter, cdm_SCMP_ACT_EPERM, number, 0, nil), call)
        }
        if scope == .process {
            try check(seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1), call)
        }
        try check(seccomp_load(filter), call)
    }

    private static func check(_ result: Int32, _ call: String) throws(DevmemError) {
        guard result < 0 else { return }
        throw DevmemError(.system, call: call, errno: Errno(rawValue: -result))
    }
}
