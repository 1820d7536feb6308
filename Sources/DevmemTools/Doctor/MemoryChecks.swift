import DevmemCore
import SystemPackage

/// Checks the sources of dma-bufs.
func memoryChecks(_ facts: HostFacts) -> [DoctorCheck] {
    var list = CheckList(.memory)
    judgeUdmabuf(facts, &list)
    judgeHugePages(facts, &list)

    let heaps = facts.memoryDevices.filter { $0.kind == .heap }.map(\.name)
    let isUdmabufUsable = if case .success = facts.udmabuf.opening { true } else { false }
    let none = isUdmabufUsable ? "none; udmabuf can be used instead" : "none"
    list.add(
        "dma-heaps", "dma-heaps", .ok, heaps.isEmpty ? none : heaps.joined(separator: ", "))

    let devices = facts.memoryDevices.filter { $0.kind == .gpu || $0.kind == .accelerator }
    list.add(
        "devices-with-memory", "GPUs and accelerators", .ok,
        devices.isEmpty
            ? "none; dma-bufs are in host memory"
            : devices.map { device in
                "\(device.kind.rawValue) \(device.name)" + (device.driver.map { ", \($0)" } ?? "")
            }.joined(separator: "; "))
    judgeGPUs(facts.gpus, of: .cuda, facts, &list)
    judgeGPUs(facts.amdGPUs, of: .rocm, facts, &list)
    return list.checks
}

extension HostFacts {
    /// Whether the memory of a GPU can be had.
    fileprivate var hasExportingGPU: Bool {
        [gpus, amdGPUs].contains { gpus in
            (try? gpus.get())?.contains(where: \.exportsDmabufs) ?? false
        }
    }
}

/// What makes memory of one vendor's GPUs.
private struct GPULibrary {
    let title: String
    let vendor: String
    let vendorID: UInt16
    let name: String
    /// The ids of the checks: of the library, and of the GPUs.
    let ids: (library: String, gpus: String)
    /// What exports dma-bufs, if none does.
    let remedy: String

    static let cuda = GPULibrary(
        title: "CUDA", vendor: "NVIDIA", vendorID: MemoryDevice.nvidia, name: CUDADriver.library,
        ids: ("cuda-library", "gpus"), remedy: "NVIDIA's open kernel modules export them")
    static let rocm = GPULibrary(
        title: "ROCm", vendor: "AMD", vendorID: MemoryDevice.amd, name: ROCmDriver.libraries[0],
        ids: ("rocm-library", "amd-gpus"), remedy: "ROCm 5.6 and newer export them")
}

private func judgeGPUs(
    _ gpus: Reading<[GPU]>, of library: GPULibrary, _ facts: HostFacts, _ list: inout CheckList
) {
    switch gpus {
    case .failure(let error):
        let isNeeded = facts.memoryDevices.contains {
            ($0.kind == .gpu || $0.kind == .accelerator) && $0.vendor == library.vendorID
        }
        list.add(
            library.ids.library, library.title, isNeeded ? .warning : .ok,
            isNeeded
                ? "there is an \(library.vendor) GPU; \(error)"
                : "\(library.name) is not usable, but there is no \(library.vendor) GPU")
    case .success(let gpus):
        list.add(library.ids.library, library.title, .ok, "\(library.name) is found")
        let closed = gpus.contains { !$0.exportsDmabufs }
        list.add(
            library.ids.gpus, "Memory of \(library.vendor) GPUs", closed ? .warning : .ok,
            gpus.map {
                "\($0.text), \(ByteCount.text($0.memory)), "
                    + ($0.exportsDmabufs ? "exports dma-bufs" : "exports no dma-bufs")
            }.joined(separator: "; ") + (closed ? "; \(library.remedy)" : ""))
    }
}

/// The default size of a dma-buf of devmemtcp, in MiB.
private let defaultSize: UInt64 = 64

/// The default of the kernel's udmabuf driver (drivers/dma-buf/udmabuf.c).
private let defaultListLimit: UInt64 = 1024

private let proposedSize: UInt64 = 1024

private func judgeUdmabuf(_ facts: HostFacts, _ list: inout CheckList) {
    let title = "dma-bufs in host memory"
    let missing: DoctorCheck.Verdict =
        facts.hasSystemHeap || facts.hasExportingGPU ? .warning : .failed
    let instead =
        if facts.hasSystemHeap {
            "; only large receive pages need it, otherwise the dma-heap system is used"
        } else if facts.hasExportingGPU {
            "; the memory of a GPU can be used instead"
        } else {
            ""
        }
    switch facts.udmabuf.opening {
    case .success: list.add("udmabuf-device", title, .ok, "\(udmabufPath) can be opened")
    case .failure(let error):
        list.add(
            "udmabuf-device", title, missing,
            error.description + instead, fix: fixUdmabuf(error, facts))
    }
    let parameters = "/sys/module/udmabuf/parameters"
    let size = "Size of a dma-buf"
    if let limit = list.value(of: facts.udmabuf.sizeLimit, "udmabuf-size-limit", size) {
        let enough = limit >= defaultSize
        list.add(
            "udmabuf-size-limit", size, enough ? .ok : missing,
            "size_limit_mb allows \(ByteCount.text(limit << 20))"
                + (enough ? "" : "; devmemtcp uses \(defaultSize) MiB by default\(instead)"),
            fix: enough ? nil : "echo \(proposedSize) > \(parameters)/size_limit_mb")
    }
    let entries = "Entries of a dma-buf"
    if let limit = list.value(of: facts.udmabuf.listLimit, "udmabuf-list-limit", entries) {
        let enough = limit >= defaultListLimit
        list.add(
            "udmabuf-list-limit", entries, enough ? .ok : .warning,
            "list_limit allows \(limit)"
                + (enough ? "" : "; the kernel's default is \(defaultListLimit)"),
            fix: enough ? nil : "echo \(defaultListLimit) > \(parameters)/list_limit")
    }
}

private func fixUdmabuf(_ error: DevmemError, _ facts: HostFacts) -> String? {
    switch error.errno {
    case .noSuchFileOrDirectory:
        facts.udmabuf.number.map { "mknod -m 600 \(udmabufPath) c \($0)" }
            ?? "modprobe udmabuf"
    case .permissionDenied, .notPermitted:
        facts.isRoot ? "chmod u+rw \(udmabufPath)" : asRoot
    default: nil
    }
}

private func judgeHugePages(_ facts: HostFacts, _ list: inout CheckList) {
    let title = "Huge pages"
    guard let pages = list.value(of: facts.hugePages, "huge-pages", title) else { return }
    let evidence =
        "\(pages.free) of \(pages.total) of \(ByteCount.text(pages.size)) are free"
    guard case .success(let policy) = facts.netdev,
        policy.attributes[NetdevNumber.Command.bindRx]?.contains(NetdevNumber.Dmabuf.rxPageSize)
            == true
    else {
        list.add("huge-pages", title, .ok, "\(evidence); this kernel cannot use them for dma-bufs")
        return
    }
    let wanted = pages.size == 0 ? 0 : (defaultSize << 20) / pages.size
    list.add(
        "huge-pages", title, pages.free > 0 ? .ok : .warning,
        evidence + (pages.free > 0 ? "" : "; large receive pages need them"),
        fix: pages.free > 0 || wanted == 0
            ? nil : "sysctl -w vm.nr_hugepages=\(pages.total.saturatingAdding(wanted))")
}
