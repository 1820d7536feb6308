/// Formats numbers as the kernel formats lists of them: ranges as `6-7`, separated by commas. Pure.
package func numberList(_ numbers: some Sequence<UInt32>) -> String {
    var runs: [ClosedRange<UInt32>] = []
    for number in numbers.sorted() {
        if let last = runs.last, last.upperBound != .max, number == last.upperBound + 1 {
            runs[runs.count - 1] = last.lowerBound...number
        } else if runs.last?.contains(number) != true {
            runs.append(number...number)
        }
    }
    return runs.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
        .joined(separator: ",")
}
