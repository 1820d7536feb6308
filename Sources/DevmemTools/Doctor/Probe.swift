package import DevmemCore
package import Logging

/// Binds one queue of a NIC for a moment and reports the kernel's answer. Other traffic is moved
/// off the queue meanwhile. Every setting is restored before it returns.
///
/// - Parameters:
///   - interface: the NIC.
///   - store: the store of the steering journals.
///   - logger: logs each change at level debug.
/// - Returns: the checks of the group probe: steering, binding, restoring.
package func probe(
    _ interface: NetworkInterface, store: JournalStore = JournalStore(), logger: Logger
) -> [DoctorCheck] {
    var list = CheckList(.probe, interface: interface.name)
    do throws(DevmemError) {
        // The queue is requested as an unbound one, because binding it is a check of its own.
        var request = BindRequest(
            queues: .steered(SteeringRequest(queues: .automatic(1), flows: [])), unboundQueues: 1,
            command: "devmemtcp doctor")
        request.store = store
        let nic = try BoundNIC(
            binding: try DmabufMemory(size: 1 << 20), to: interface, request, logger: logger)
        let memory = nic.memory
        bind(memory.dmabuf.descriptor, interface, nic.unboundQueues, &list)
        do throws(DevmemError) {
            judge(try nic.release(), &list)
        } catch {
            list.add(
                "probe-restore", "Restoring settings", .failed, words(of: error, on: interface),
                fix: "\(AdvisedCommand(.restore, interface.name))")
        }
        judgeSending(memory.dmabuf.descriptor, interface, &list)
    } catch {
        list.add("probe-steer", "Steering a queue", .failed, words(of: error, on: interface))
    }
    return list.checks
}

/// Reports settings that were not restored because someone else changed them meanwhile. Pure.
func judge(_ reversal: SteeringRestoration, _ list: inout CheckList) {
    let changed = reversal.leftAlone.joined(separator: "; ")
    list.add(
        "probe-restore", "Restoring settings", changed.isEmpty ? .ok : .warning,
        changed.isEmpty ? "every setting is restored" : "left alone: \(changed)")
}

/// Binds the queues and unbinds them before it returns, so that header split can be turned off
/// again.
private func bind(
    _ memory: borrowing Descriptor, _ interface: NetworkInterface, _ queues: [UInt32],
    _ list: inout CheckList
) {
    let title = "Binding a queue"
    do throws(DevmemError) {
        let binding = try ReceiveBinding(dmabuf: memory, interface: interface, queues: queues)
        list.add(
            "probe-bind-rx", title, .ok,
            "queue \(queueList(queues)) was bound, with binding id \(binding.id)")
    } catch {
        list.add("probe-bind-rx", title, .failed, words(of: error, on: interface))
    }
}

/// Binds for sending, which uses no queue and changes no setting.
private func judgeSending(
    _ memory: borrowing Descriptor, _ interface: NetworkInterface, _ list: inout CheckList
) {
    let title = "Binding for sending"
    do throws(DevmemError) {
        let binding = try TransmitBinding(dmabuf: memory, interface: interface)
        list.add("probe-bind-tx", title, .ok, "bound, with binding id \(binding.id)")
    } catch {
        list.add("probe-bind-tx", title, .warning, words(of: error, on: interface))
    }
}

/// Returns the kernel's text, its meaning, and advice.
private func words(of error: DevmemError, on interface: NetworkInterface) -> String {
    guard let answer = explain(error) else { return error.description }
    var plain = error
    plain.advice = nil
    return "\(plain); \(answer.meaning)"
        + (answer.advice.naming(interface.name).text().map { " (\($0))" } ?? "")
}
