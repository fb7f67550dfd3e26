/** The head of an answer that the lane takes: a final status, one plain length, nothing that would change how the body is read. */
export type Head = {
  status: number
  /** Names in lower case; repeated fields joined by `, ` (RFC 9110 § 5.3). */
  headers: Record<string, string>
  /** Each WWW-Authenticate field as it came. */
  challenges: string[]
  /** Bytes of body that follow. */
  bodyBytes: number
  /** Whether the connection may be used for another request. */
  keepAlive: boolean
}

const STATUS_LINE = /^HTTP\/1\.1 ([2-5]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/
const LENGTH = /^\d{1,15}$/
/** What the fields below mean for the end of a body is not the lane's business. */
const REFUSED = new Set(['transfer-encoding', 'upgrade', 'trailer', 'proxy-connection'])
const MAX_FIELDS = 128

/**
 * Reads a head, from the status line to the last field's line end, without the empty line. Strict to the byte: gives `undefined` for
 * whatever is not exactly one status line of HTTP/1.1, well-formed fields without folding, and one Content-Length. What is refused is
 * asked for again by node:http; what is taken here, node:http reads in the same way (a test holds the two against each other).
 */
export function parseHead(bytes: Buffer, method: 'GET' | 'HEAD'): Head | undefined {
  const lines = bytes.toString('latin1').split('\r\n')
  const status = Number(STATUS_LINE.exec(lines[0] ?? '')?.[1])
  if (Number.isNaN(status) || lines.length - 1 > MAX_FIELDS) return undefined
  const headers: Record<string, string> = Object.create(null)
  const challenges: string[] = []
  let length: string | undefined
  let keepAlive = true
  for (let place = 1; place < lines.length; place++) {
    const [, rawName, value] = FIELD.exec(lines[place] ?? '') ?? []
    if (rawName === undefined || value === undefined) return undefined
    const name = rawName.toLowerCase()
    if (REFUSED.has(name)) return undefined
    if (name === 'content-length') {
      // Two of them, even alike, are how one answer is made to look like two (RFC 9112 § 6.3).
      if (length !== undefined || !LENGTH.test(value)) return undefined
      length = value
    }
    if (name === 'connection') {
      const options = value.toLowerCase()
      if (options !== 'keep-alive' && options !== 'close') return undefined
      keepAlive = options === 'keep-alive'
    }
    if (name === 'www-authenticate') challenges.push(value)
    const before = headers[name]
    headers[name] = before === undefined ? value : `${before}, ${value}`
  }
  if (length === undefined) return undefined
  // RFC 9112 § 6.3: these have no body whatever the length says.
  if (status === 204 || status === 205) return undefined
  const bodyBytes = method === 'HEAD' || status === 304 ? 0 : Number(length)
  return { status, headers, challenges, bodyBytes, keepAlive }
}
