@testable import DevmemCore
import DevmemTools
import Foundation

@testable import devmemtcp

/// Returns the reports of a command, with all optional parts, as JSON.
func sampleReport(of command: String) throws -> String {
    switch command {
    case "serve":
        var total = ServeTotal()
        total.add(try ReceiveReport.full, failure: nil)
        total.stoppedBy = 15
        return try json(of: ReceiveReport.full) + json(of: total)
    case "connect": return try json(of: TransmitReport.full)
    case "bench":
        let matrix = try BenchMatrix([
            BenchMatrix.Pair(
                sender: "a", receiver: "b",
                memory: BenchPlan.Direction(sender: .host, receiver: .device), bytesPerSecond: 1,
                time: "now", failure: "it broke")
        ])
        return try json(of: BenchReport.full) + json(of: matrix)
    case "bind": return try json(of: BindReport.full)
    case "validate":
        var report = ValidationReport(
            on: .current, time: timeStamp(), interface: "eth1", driver: "labnic",
            peer: "netns:peer")
        report.stoppedBy = 15
        report.cases = [
            CaseResult(
                family: "bind", name: "good", title: "it works", verdict: .fail("no"), seconds: 1)
        ]
        return try json(of: report) + json(of: CaseList(cases: []))
    default:
        let queue = QueueRestart(
            queue: 3, poolBefore: 1, poolAfter: 2, napiBefore: 5, napiAfter: 5)
        return try json(of: RestartReport(interface: "eth1", queues: [queue]))
    }
}

extension NetworkDevice {
    /// A device with all optional properties.
    static var full: NetworkDevice {
        get throws {
            var device = NetworkDevice(try NetworkInterface(named: "lo"))
            device.driver = "mlx5_core"
            device.driverVersion = "7.3.4"
            device.firmwareVersion = "16.35"
            device.bus = "pci"
            device.address = "0000:43:00.0"
            device.path = "/sys/devices/pci0000:40/0000:40:01.0/0000:43:00.0"
            device.numaNode = 0
            device.speed = 100_000
            device.mtu = 9000
            device.isUp = true
            device.hasCarrier = true
            device.macAddress = "02:00:00:00:00:01"
            device.iommuGroup = "12"
            device.iommuType = "DMA-FQ"
            return device
        }
    }
}

extension ReceiveReport {
    /// A report with all optional parts.
    static var full: ReceiveReport {
        get throws {
            let json = """
                {"version":1,"interface":"eth1","driver":"labnic","queues":[7],
                 "dmabuf_bytes":67108864,"engine":"socket","listen":"192.0.2.1:5201","peer":"192.0.2.2:40000",
                 "seconds":2,"cpu_user_seconds":0.5,"cpu_system_seconds":1,
                 "busy_poll_us":50,"cpus":"0-3",
                 "cpus_reason":"near","napi_threaded":true,
                 "connection":1,"answered_bytes":7,"direct_bytes":4096,
                 "counts":{"device_bytes":999,"linear_bytes":1,"ordinary_bytes":0,"fragments":3,
                 "recvmsg_calls":2,"token_calls":1,"token_ranges":1},
                 "validation":{"checked_bytes":1000,"wrong_bytes":2,
                 "first_mismatch":{"offset":5,"expected":6,"found":7}},
                 "placement":{"device_share":0.999,"verdict":"mixed","reason":"a rule"},
                 "stopped_by_signal":15,"failure":"it broke"}
                """
            return try JSONDecoder().decode(ReceiveReport.self, from: Data(json.utf8))
        }
    }
}

extension TransmitReport {
    /// A report with all optional parts.
    static var full: TransmitReport {
        get throws {
            let json = """
                {"version":1,"interface":"eth1","driver":"labnic","memory_bytes":67108864,
                 "local":"192.0.2.1:40000","peer":"192.0.2.2:5201","seconds":2,
                 "cpu_user_seconds":0.5,"cpu_system_seconds":1,
                 "counts":{"sent_bytes":1000,"acknowledged_bytes":900,"received_bytes":9,"input_calls":3,
                 "sendmsg_calls":2,"completions":1,"copied_sends":1,"buffer_waits":4},
                 "validation":{"checked_bytes":1000,"wrong_bytes":2,
                 "first_mismatch":{"offset":5,"expected":6,"found":7}},
                 "busy_poll_us":50,"cpus":"0-3",
                 "cpus_reason":"near","napi_threaded":true,
                 "peer_closed":false,"stopped_by_signal":15,"failure":"it broke"}
                """
            return try JSONDecoder().decode(TransmitReport.self, from: Data(json.utf8))
        }
    }
}

extension BindReport {
    /// A report with all optional parts.
    static var full: BindReport {
        BindReport(
            interface: "eth1", queues: [6, 7], receiveID: 3, transmitID: 4, size: 4096,
            pageSize: 65536, pid: 812, descriptor: 9)
    }
}

extension BenchReport {
    /// A report with all optional parts.
    static var full: BenchReport {
        get throws {
            var plan = BenchPlan()
            plan.inbound = BenchPlan.Direction(sender: .host, receiver: .device)
            plan.outbound = BenchPlan.Direction(sender: .device, receiver: .host)
            plan.seconds = 2
            plan.bytes = 9
            plan.flows = 2
            plan.segment = 1400
            plan.congestion = "reno"
            plan.pace = 1000
            plan.validates = true
            plan.requestSize = 1024
            plan.pageSize = 65536
            plan.busyPoll = 50
            plan.remoteProcessors = [1]
            plan.source = BenchPlan.Source(address: "192.0.2.2", port: 40000)
            var flow = BenchFlowReport(flow: 1)
            flow.received.deviceBytes = 1 << 30
            flow.sent.sentBytes = 4096
            flow.received.receiveCalls = 4
            flow.received.fragments = 10
            flow.retransmits = 3
            flow.validation = try JSONDecoder().decode(
                PatternComparison.self,
                from: Data(
                    """
                    {"checked_bytes":1000,"wrong_bytes":2,
                    "first_mismatch":{"offset":5,"expected":6,"found":7}}
                    """.utf8))
            flow.failure = "it broke"
            var end = BenchEndReport()
            end.interface = "eth1"
            end.host = "farm1"
            end.kernel = "7.3.4"
            end.driver = "labnic"
            end.boundQueues = [6, 7]
            end.processors = "0-3"
            end.processorsReason = "near"
            end.isNAPIThreaded = false
            end.seconds = 2
            end.userSeconds = 0.5
            end.flows = [flow, BenchFlowReport(flow: 2)]
            end.failure = "it broke"
            var counts = ReceiveCounts()
            counts.ordinaryBytes = 7
            end.placement = PayloadPlacement(counts, reason: "a rule")
            end.queues = try JSONDecoder().decode(
                [BenchEndReport.Queue].self,
                from: Data(#"[{"type":"rx","id":7,"counters":{"rx-bytes":1}}]"#.utf8))
            end.pools = try JSONDecoder().decode(
                [BenchEndReport.Pool].self,
                from: Data(#"[{"id":7,"in_flight":1,"in_flight_bytes":4096}]"#.utf8))
            let sample = BenchSample(
                time: 1, seconds: 1, received: [5, 6], sent: [7, 8], user: 0.1, system: 0.2,
                softirq: 0.3)
            var report = BenchReport(
                plan, peer: "netns:peer", near: end, far: end,
                intervals: BenchInterval.joined(near: [sample], far: [sample]))
            report.latency = try JSONDecoder().decode(
                BenchLatency.self,
                from: Data(
                    """
                    {"count":9,"min_us":1,"mean_us":2,"p50_us":2,"p90_us":3,"p99_us":4,
                     "p999_us":5,"max_us":6}
                    """.utf8))
            report.time = "2026-11-29T12:00:00.000Z"
            report.stoppedBy = 2
            report.isStoppedByRemote = false
            return report
        }
    }
}
