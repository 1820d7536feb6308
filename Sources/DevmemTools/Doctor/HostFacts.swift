package import DevmemCore
import CDevmem
import Glibc
import SystemPackage

/// What device memory TCP depends on in the kernel and on the host.
package struct HostFacts: Sendable {
    /// Pages of the kind that memfd_create(2) gives with MFD_HUGETLB.
    package struct HugePages: Equatable, Sendable {
        /// Pages there are.
        package var total: UInt64
        /// Of them, pages that nothing uses.
        package var free: UInt64
        /// Bytes of one.
        package var size: UInt64
    }

    /// The udmabuf driver.
    package struct UdmabufFacts: Sendable {
        /// Whether its device can be opened.
        package var opening: Reading<Bool>
        /// The device's number, joined by a space as mknod(1) takes it; nil if the kernel has no
        /// such driver.
        package var number: String?
        /// The largest dma-buf in MiB.
        package var sizeLimit: Reading<UInt64>
        /// The most pieces that one may be made of.
        package var listLimit: Reading<UInt64>
    }

    /// The running kernel, as uname(2) calls it.
    package var kernelRelease: String
    /// What the family netdev takes.
    package var netdev: Reading<FamilyPolicy>
    /// What the family ethtool takes.
    package var ethtool: Reading<FamilyPolicy>

    /// Whether this process's user is root.
    package var isRoot: Bool
    /// Whether CAP_NET_ADMIN is in effect.
    package var hasNetAdmin: Reading<Bool>
    /// The folder of steering journals.
    package var journalFolder: String
    /// Whether journals can be written there.
    package var journalAccess: Reading<Bool>
    /// How many descriptors this process may have open.
    package var openFiles: UInt64

    /// The udmabuf driver.
    package var udmabuf: UdmabufFacts
    /// Whether memory of the dma-heap `system` can be had instead.
    package var hasSystemHeap: Bool
    /// Huge pages.
    package var hugePages: Reading<HugePages>
    /// GPUs, accelerators, heaps.
    package var memoryDevices: [MemoryDevice]
    /// Whether the dynamic linker finds CUDA's library.
    package var hasCUDA: Bool

    /// Numbers of sysctl(8) by their names.
    package var sysctls: [String: Reading<[UInt64]>]

    /// The names in `sysctls`.
    static let sysctlNames = [
        "net.core.rmem_max", "net.core.wmem_max", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
        "net.core.optmem_max",
    ]
}

extension HostFacts {
    private static let cudaLibrary = "libcuda.so.1"

    /// Reads them; what cannot be read is in the value, as an error.
    ///
    /// - Parameter store: where steering journals lie.
    package init(store: JournalStore = JournalStore()) {
        kernelRelease =
            lines(of: "/proc/sys/kernel/osrelease").first.map(String.init) ?? "unknown"
        netdev = Result { () throws(DevmemError) in
            try FamilyPolicy(of: NetdevNumber.familyName)
        }
        ethtool = Result { () throws(DevmemError) in
            try FamilyPolicy(of: EthtoolNumber.familyName)
        }
        isRoot = geteuid() == 0
        hasNetAdmin = Result { () throws(DevmemError) in try DevmemCore.hasNetAdmin() }
        journalFolder = store.directory
        journalAccess = Result { () throws(DevmemError) in
            try Self.checkAccess(to: store.directory)
        }
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        openFiles = UInt64(limit.rlim_cur)
        udmabuf = UdmabufFacts.read()
        hasSystemHeap = DmaHeap.isUsable(DmaHeap.system)
        hugePages = Result { () throws(DevmemError) in try Self.readHugePages() }
        memoryDevices = MemoryDevice.all()
        let library = dlopen(Self.cudaLibrary, RTLD_LAZY)
        hasCUDA = library != nil
        if let library { dlclose(library) }
        sysctls = [:]
        for name in Self.sysctlNames {
            let path = "/proc/sys/" + name.replacing(".", with: "/")
            sysctls[name] = Result { () throws(DevmemError) in try numbers(in: path) }
        }
    }

    private static func checkAccess(to folder: String) throws(DevmemError) -> Bool {
        do throws(DevmemError) {
            return try mayWrite(folder)
        } catch {
            guard error.errno == .noSuchFileOrDirectory else { throw error }
            // It is made at the first use, in the folder above.
            let parent = folder.split(separator: "/").dropLast().joined(separator: "/")
            return try mayWrite("/" + parent)
        }
    }

    private static func mayWrite(_ folder: String) throws(DevmemError) -> Bool {
        do throws(DevmemError) {
            try retrying("write to \(folder)") {
                faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS)
            }
            return true
        } catch {
            guard error.errno == .permissionDenied || error.errno == .readOnlyFileSystem else {
                throw error
            }
            return false
        }
    }

    private static func readHugePages() throws(DevmemError) -> HugePages {
        let path = "/proc/meminfo"
        var found: [Substring: UInt64] = [:]
        for line in lines(of: path) {
            let fields = line.split { $0 == ":" || $0.isWhitespace }
            if fields.count > 1 { found[fields[0]] = UInt64(fields[1]) }
        }
        guard let size = found["Hugepagesize"] else {
            throw DevmemError(
                .unsupported, call: "read \(path)", message: "this kernel has no huge pages")
        }
        return HugePages(
            total: found["HugePages_Total"] ?? 0, free: found["HugePages_Free"] ?? 0,
            size: size << 10)
    }
}

extension HostFacts.UdmabufFacts {
    private static let listLimitPath = "/sys/module/udmabuf/parameters/list_limit"

    fileprivate static func read() -> HostFacts.UdmabufFacts {
        let number = Udev()?.device(subsystem: "misc", name: "udmabuf")?.number
        return HostFacts.UdmabufFacts(
            opening: Result { () throws(DevmemError) in
                _ = try Descriptor.open(udmabufPath, O_RDWR)
                return true
            },
            number: number.map { "\($0.major) \($0.minor)" },
            sizeLimit: Result { () throws(DevmemError) in try limit(Udmabuf.limitPath) },
            listLimit: Result { () throws(DevmemError) in try limit(listLimitPath) })
    }

    private static func limit(_ path: String) throws(DevmemError) -> UInt64 {
        try numbers(in: path)[0]
    }
}
