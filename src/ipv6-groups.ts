/** The eight groups of an IPv6 address that names no zone: hexadecimal in lower case, without leading zeros; a dotted tail makes two of them. */
export function ipv6Groups(address: string): string[] {
  // The URL parser writes any spelling in one way: hexadecimal, without leading zeros, at most one `::`.
  const [left = '', right] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const head = left === '' ? [] : left.split(':')
  const tail = right === undefined || right === '' ? [] : right.split(':')
  return [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail]
}
