package import DevmemCore
import CDevmem
import Glibc
import SystemPackage

/// The properties of the kernel and the host that device memory TCP depends on.
package struct HostFacts: Sendable {
    /// The huge pages that memfd_create(2) returns with MFD_HUGETLB.
    package struct HugePages: Equatable, Sendable {
        /// The total number of pages.
        package var total: UInt64
        /// The number of free pages.
        package var free: UInt64
        /// The size of a page in bytes.
        package var size: UInt64
    }

    /// The udmabuf driver.
    package struct UdmabufFacts: Sendable {
        /// Whether /dev/udmabuf can be opened.
        package var opening: Reading<Bool>
        /// The major and minor number of the device, separated by a space as for mknod(1); nil if
        /// the kernel has no such driver.
        package var number: String?
        /// The maximum size of a dma-buf in MiB.
        package var sizeLimit: Reading<UInt64>
        /// The maximum number of entries of a dma-buf.
        package var listLimit: Reading<UInt64>
    }

    /// The running kernel's release (uname(2)).
    package var kernelRelease: String
    /// The commands and attributes of the netlink family netdev.
    package var netdev: Reading<FamilyPolicy>
    /// The commands and attributes of the netlink family ethtool.
    package var ethtool: Reading<FamilyPolicy>

    /// Why io_uring cannot receive into device memory; nil if nothing speaks against trying.
    package var ioUringObstacle: String?

    /// Whether the effective user is root.
    package var isRoot: Bool
    /// Whether CAP_NET_ADMIN is in effect.
    package var hasNetAdmin: Reading<Bool>
    /// The directory of the steering journals.
    package var journalFolder: String
    /// Whether journals can be written there.
    package var journalAccess: Reading<Bool>
    /// The limit on open descriptors of this process.
    package var openFiles: UInt64

    /// The udmabuf driver.
    package var udmabuf: UdmabufFacts
    /// Whether the dma-heap `system` can be used instead.
    package var hasSystemHeap: Bool
    /// Huge pages.
    package var hugePages: Reading<HugePages>
    /// GPUs, accelerators and dma-heaps.
    package var memoryDevices: [MemoryDevice]
    /// The GPUs of the CUDA driver.
    package var gpus: Reading<[GPU]>
    /// The GPUs of the HIP runtime.
    package var amdGPUs: Reading<[GPU]>

    /// The values of sysctl(8) variables by name.
    package var sysctls: [String: Reading<[UInt64]>]

    /// The names in `sysctls`.
    static let sysctlNames = [
        "net.core.rmem_max", "net.core.wmem_max", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
        "net.core.optmem_max",
    ]
}

extension HostFacts {
    /// Reads the facts. A value that cannot be read holds the error.
    ///
    /// - Parameter store: the store of the steering journals.
    package init(store: JournalStore = JournalStore()) {
        kernelRelease = HostIdentity.current.kernel
        netdev = Result { () throws(DevmemError) in
            try FamilyPolicy(of: NetdevNumber.familyName)
        }
        ethtool = Result { () throws(DevmemError) in
            try FamilyPolicy(of: EthtoolNumber.familyName)
        }
        ioUringObstacle = ZerocopySupport.obstacle()
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
        gpus = Result { () throws(DevmemError) in try CUDADriver.shared.get().gpus() }
        amdGPUs = Result { () throws(DevmemError) in try ROCmDriver.shared.get().gpus() }
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
            // The directory is created at the first use, so its parent must be writable.
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
        guard let pages = HugePages(lines(of: path)) else {
            throw DevmemError(
                .unsupported, call: "read \(path)", message: "this kernel has no huge pages")
        }
        return pages
    }
}

extension HostFacts.HugePages {
    /// Reads the lines of /proc/meminfo; nil if there is nothing about huge pages. Pure.
    init?(_ lines: [Substring]) {
        var found: [Substring: UInt64] = [:]
        for line in lines {
            let fields = line.split { $0 == ":" || $0.isWhitespace }
            if fields.count > 1 { found[fields[0]] = UInt64(fields[1]) }
        }
        guard let size = found["Hugepagesize"] else { return nil }
        self.init(
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
