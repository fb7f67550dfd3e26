const SEQUENCE = 0x30
const INTEGER = 0x02
const UTC_TIME = 0x17
const GENERALIZED_TIME = 0x18

export type CrlTimes = { thisUpdate: Date; nextUpdate: Date | undefined }

type Element = { tag: number; content: Buffer; rest: Buffer }

/**
 * When a list of revoked certificates (PEM, RFC 5280 § 5.1) was made and when the next is due; Node does not tell. After that OpenSSL
 * refuses every certificate of the list's authority. `undefined` for what is no such list.
 */
export function readCrlTimes(pem: string): CrlTimes | undefined {
  const der = Buffer.from(pem.replace(/-----[^-]*-----/g, ''), 'base64')
  const list = inside(inside(der))
  // version (absent in v1), signature, issuer, thisUpdate, nextUpdate (optional)
  const first = list && read(list)
  const signature = first?.tag === INTEGER ? read(first.rest) : first
  const issuer = signature?.tag === SEQUENCE ? read(signature.rest) : undefined
  const made = issuer?.tag === SEQUENCE ? read(issuer.rest) : undefined
  const thisUpdate = made && timeOf(made)
  if (made === undefined || thisUpdate === undefined) return undefined
  const next = read(made.rest)
  return { thisUpdate, nextUpdate: next && timeOf(next) }
}

function inside(der: Buffer | undefined): Buffer | undefined {
  const element = der && read(der)
  return element?.tag === SEQUENCE ? element.content : undefined
}

/** One element of DER with what follows it; `undefined` where it is cut off. */
function read(der: Buffer): Element | undefined {
  const [tag, short] = der
  if (tag === undefined || short === undefined) return undefined
  const lengthBytes = short < 0x80 ? 0 : short & 0x7f
  if (lengthBytes > 4 || der.length < 2 + lengthBytes) return undefined
  const length = lengthBytes === 0 ? short : der.readUIntBE(2, lengthBytes)
  const from = 2 + lengthBytes
  if (der.length < from + length) return undefined
  return { tag, content: der.subarray(from, from + length), rest: der.subarray(from + length) }
}

/** RFC 5280 § 4.1.2.5: always with seconds and in UTC; two digits of a year below 50 are of this century. */
function timeOf({ tag, content }: Element): Date | undefined {
  if (tag !== UTC_TIME && tag !== GENERALIZED_TIME) return undefined
  const text = content.toString('latin1')
  const full = tag === GENERALIZED_TIME ? text : `${Number(text.slice(0, 2)) < 50 ? '20' : '19'}${text}`
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(full) ?? []
  const date = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  return Number.isNaN(date.getTime()) ? undefined : date
}
