import DevmemCore
import CDevmem
import Glibc
import Histogram
import Synchronization
import SystemPackage

/// The threads of one side of a benchmark, as seen from the thread that started them.
final class WorkerPool: Sendable {
    private struct State {
        var ready = 0
        var results: [BenchWorkerResult] = []
        var times: MeasurementTimes?
    }

    /// An eventfd that is readable when a thread has changed its state.
    let event: Descriptor
    private let gate: StopBroadcast
    private let stop: StopBroadcast
    private let abort: StopBroadcast
    private let state = Mutex(State())
    let plan: BenchPlan
    private let role: BenchRole
    private let schedule: BenchSchedule
    /// Where the threads run.
    let placement: ThreadPlacement
    /// The connections, indexed by flow.
    let connections: [BenchConnection]

    /// Starts the threads, which set up their memory and then wait for `start`.
    init(
        _ plan: BenchPlan, _ role: BenchRole, _ connections: [BenchConnection],
        _ placement: ThreadPlacement, on nic: BenchNIC
    ) throws(DevmemError) {
        event = try makeEventDescriptor()
        gate = try StopBroadcast()
        stop = try StopBroadcast()
        abort = try StopBroadcast()
        self.plan = plan
        self.role = role
        self.connections = connections
        self.placement = placement
        schedule = BenchSchedule(flows: plan.flows, threads: plan.threads)
        let (interface, bound, provider) = (nic.interface, nic.memory, nic.provider)
        for (index, flows) in schedule.flowsOfThreads.enumerated() {
            let own = flows.map { (number: $0, connection: connections[$0]) }
            do throws(DevmemError) {
                try runInThread { [self] in
                    carry(own, index, (interface, provider), bound)
                }
            } catch {
                // Threads that wait for the start must be released.
                giveUp()
                awaitEnd(of: index, milliseconds: 5000)
                throw error
            }
        }
    }

    /// The number of threads.
    var threads: Int { schedule.flowsOfThreads.count }

    /// Starts the flow of payload.
    func start(_ times: MeasurementTimes) {
        state.withLock { $0.times = times }
        gate.announce(SIGCONT)
    }

    /// Stops sending; data in flight completes.
    func finish() { stop.announce(SIGTERM) }

    /// Gives up all flows, including those that have not started.
    func giveUp() {
        abort.announce(SIGTERM)
        gate.announce(SIGTERM)
    }

    /// Resets the eventfd.
    func clearEvent() {
        var count: UInt64 = 0
        _ = read(event.rawValue, &count, MemoryLayout<UInt64>.size)
    }

    /// Returns whether all threads are ready to start.
    ///
    /// - Throws: `DevmemError` of a thread that failed.
    func isReady() throws(DevmemError) -> Bool {
        let (ready, failure) = state.withLock { state in
            (state.ready, state.results.lazy.compactMap(\.failure).first)
        }
        if let failure { throw failure }
        return ready == threads
    }

    /// Waits until all threads have ended, up to a timeout.
    func awaitEnd(milliseconds: Int32) { awaitEnd(of: threads, milliseconds: milliseconds) }

    private func awaitEnd(of count: Int, milliseconds: Int32) {
        let end = ContinuousClock.now + .milliseconds(Int(milliseconds))
        let never = StopSignal()
        while state.withLock({ $0.results.count < count }), ContinuousClock.now < end {
            _ = try? never.wait(for: event.rawValue, events: Int32(POLLIN), milliseconds: 100)
            clearEvent()
        }
    }

    /// Returns the results of the threads once all have ended; nil before.
    func results() -> [BenchWorkerResult]? {
        state.withLock { $0.results.count == threads ? $0.results : nil }
    }

    /// Runs one thread.
    private func carry(
        _ own: [(number: Int, connection: BenchConnection)], _ index: Int,
        _ sender: (interface: NetworkInterface, provider: MemoryProvider), _ bound: BoundMemory?
    ) {
        var result = BenchWorkerResult()
        do throws(DevmemError) {
            try placement.place(thread: index)
            let memory = try memory(on: sender.interface, from: sender.provider)
            var flows: [BenchFlow] = []
            for (number, shared) in own {
                if role.sends == .device { try shared.connection.enableZerocopy() }
                flows.append(try BenchFlow(number, shared, plan, role, bound: bound))
            }
            try dropThreadPrivileges(inReserve: bound?.capabilities ?? [], logger: .silent)
            state.withLock { $0.ready += 1 }
            notify(event)
            _ = try StopSignal(following: gate).arrived()
            if let times = state.withLock({ $0.times }) {
                let worker = try BenchWorker(
                    flows, memory, times, busyPoll: plan.busyPoll, stop: stop, abort: abort)
                result = try worker.run()
            }
        } catch {
            result.failure = error
        }
        state.withLock { $0.results.append(result) }
        notify(event)
    }

    /// Creates the memory that a thread sends from. A dma-buf of another program is none of it, as it
    /// is only one.
    private func memory(
        on interface: NetworkInterface, from provider: MemoryProvider
    ) throws(DevmemError) -> SendMemory? {
        let size = UInt64(BenchSource.memorySize)
        let memory: SendMemory
        switch role.sends {
        case .none: return nil
        case .host: memory = try SendMemory(host: size)
        case .device:
            memory = try SendMemory(
                binding: DmabufMemory(atLeast: size, from: provider.forMore, near: interface),
                to: interface)
        }
        try BenchSource.fill(memory)
        return memory
    }
}
