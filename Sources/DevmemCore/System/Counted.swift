/// Returns a number with its noun, such as "1 flow" or "2 flows".
package func counted(
    _ count: some BinaryInteger, _ noun: String, _ plural: String? = nil
) -> String {
    "\(count) " + (count == 1 ? noun : plural ?? noun + "s")
}
