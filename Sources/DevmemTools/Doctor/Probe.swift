package import DevmemCore
package import Logging

/// Binds one queue of a NIC for a moment and tells what the kernel answered. Every setting is put
/// back before it returns; traffic of the queue moves to others meanwhile.
///
/// - Parameters:
///   - interface: the NIC.
///   - store: where the steering journal lies.
///   - logger: is told of each change at level debug.
/// - Returns: checks of the group probe: making memory, steering, binding, putting back.
package func probe(
    _ interface: NetworkInterface, store: JournalStore = JournalStore(), logger: Logger
) -> [DoctorCheck] {
    var list = CheckList(.probe, interface: interface.name)
    do throws(DevmemError) {
        // The queue is a spare one: binding it is a check of its own.
        var request = BindRequest(
            queues: .steered(SteeringRequest(queues: .automatic(1), flows: [])), spareQueues: 1,
            command: "devmemtcp doctor")
        request.store = store
        let nic = try BoundNIC(
            binding: try DmabufMemory(size: 1 << 20), to: interface, request, logger: logger)
        let memory = nic.memory
        bind(memory.dmabuf.descriptor, interface, nic.spares, &list)
        do throws(DevmemError) {
            judge(try nic.release(), &list)
        } catch {
            list.add(
                "probe-restore", "Restoring settings", .failed, words(of: error),
                fix: "\(AdvisedCommand(.restore, interface.name))")
        }
        judgeSending(memory.dmabuf.descriptor, interface, &list)
    } catch {
        list.add("probe-steer", "Steering a queue", .failed, words(of: error))
    }
    return list.checks
}

/// Says what is not as it was, as someone else changed it meanwhile. Pure.
func judge(_ reversal: SteeringRestoration, _ list: inout CheckList) {
    let changed = reversal.leftAlone.joined(separator: "; ")
    list.add(
        "probe-restore", "Restoring settings", changed.isEmpty ? .ok : .warning,
        changed.isEmpty ? "every setting is restored" : "left alone: \(changed)")
}

/// The binding ends before this returns, so that header split can be turned off again.
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
        list.add("probe-bind-rx", title, .failed, words(of: error))
    }
}

/// Takes no queue, so nothing has to be put back.
private func judgeSending(
    _ memory: borrowing Descriptor, _ interface: NetworkInterface, _ list: inout CheckList
) {
    let title = "Binding for sending"
    do throws(DevmemError) {
        let binding = try TransmitBinding(dmabuf: memory, interface: interface)
        list.add("probe-bind-tx", title, .ok, "bound, with binding id \(binding.id)")
    } catch {
        list.add("probe-bind-tx", title, .warning, words(of: error))
    }
}

/// The kernel's words, what they mean, and what to do.
private func words(of error: DevmemError) -> String {
    guard let answer = explain(error) else { return error.description }
    var plain = error
    plain.advice = nil
    return "\(plain); \(answer.meaning) (\(answer.advice))"
}
