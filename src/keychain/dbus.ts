import { connect, type Socket } from 'node:net'

// The few pieces of the D-Bus protocol that one method call after another takes.
// https://dbus.freedesktop.org/doc/dbus-specification.html § Message Protocol, § Authentication Protocol, § Server Addresses

const METHOD_CALL = 1
const METHOD_RETURN = 2
const ERROR = 3
const FIELD = { path: 1, interface: 2, member: 3, errorName: 4, replySerial: 5, destination: 6, signature: 8 }
const FIXED_HEADER_SIZE_BYTES = 16
/** What is asked here is answered in a hundred bytes; the specification allows 128 MiB. */
const MAX_MESSAGE_SIZE_BYTES = 64 * 1024

export type DbusCall = {
  destination: string
  path: string
  interface: string
  member: string
  /** Type signature of `body`, `''` where there is none. */
  signature: string
  body: Buffer
}

/** The body of the answer, or the name of the D-Bus error. */
export type DbusAnswer = { body: Buffer } | { error: string }

export type DbusConnection = {
  /** Throws what broke the connection, when it breaks before the answer. */
  call(call: DbusCall): Promise<DbusAnswer>
  isClosed(): boolean
  close(): void
}

/** The socket of the first `unix:` address in a list of server addresses; `undefined` where there is none that can be reached by name. */
export function socketOf(addresses: string): string | undefined {
  for (const address of addresses.split(';')) {
    if (!address.startsWith('unix:')) continue
    const pairs = address.slice('unix:'.length).split(',')
    const value = (name: string) => {
      const pair = pairs.find((candidate) => candidate.startsWith(`${name}=`))
      return pair?.slice(name.length + 1).replace(/(?:%[0-9A-Fa-f]{2})+/g, unescapeBytes)
    }
    const path = value('path')
    if (path) return path
    const name = value('abstract')
    if (name) return `\0${name}`
  }
  return undefined
}

function unescapeBytes(escaped: string): string {
  return Buffer.from(escaped.replaceAll('%', ''), 'hex').toString('utf8')
}

/**
 * Connects to the bus behind a unix socket as the user of this process. `signal` ends the attempt; the connection itself lives
 * until it is closed or breaks. Throws the socket's error, or AbortError.
 */
export async function connectDbus(socketPath: string, signal: AbortSignal): Promise<DbusConnection> {
  const socket = connect(socketPath)
  const giveUp = () => socket.destroy(new DOMException('the bus did not answer', 'AbortError'))
  signal.addEventListener('abort', giveUp)
  if (signal.aborted) giveUp()
  const receive = receiver(socket)
  const pending = new Map<number, PromiseWithResolvers<DbusAnswer>>()
  let serial = 0

  function call(request: DbusCall): Promise<DbusAnswer> {
    const answer = Promise.withResolvers<DbusAnswer>()
    serial += 1
    pending.set(serial, answer)
    if (socket.destroyed) fail(new Error('the connection to the bus is closed'))
    else socket.write(encodeCall(request, serial))
    return answer.promise
  }

  function fail(error: unknown): void {
    socket.destroy()
    for (const { reject } of pending.values()) reject(error)
    pending.clear()
  }

  async function deliverAnswers(): Promise<never> {
    for (;;) {
      const { type, fields, body } = await receiveMessage(receive)
      const replySerial = fields.get(FIELD.replySerial)
      if (typeof replySerial !== 'number' || (type !== METHOD_RETURN && type !== ERROR)) continue
      const answer = type === ERROR ? { error: String(fields.get(FIELD.errorName) ?? 'unnamed') } : { body }
      pending.get(replySerial)?.resolve(answer)
      pending.delete(replySerial)
    }
  }

  try {
    await authenticate(socket, receive)
    deliverAnswers().catch(fail)
    const bus = {
      destination: 'org.freedesktop.DBus',
      path: '/org/freedesktop/DBus',
      interface: 'org.freedesktop.DBus',
    }
    const hello = await call({ ...bus, member: 'Hello', signature: '', body: Buffer.alloc(0) })
    if ('error' in hello) throw new Error(`the bus refused the connection: ${hello.error}`)
    return {
      call,
      isClosed: () => socket.destroyed,
      close: () => fail(new Error('the connection to the bus was closed')),
    }
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}

/** Gives the next so many bytes; with a text, all up to and with that text. */
type Receive = (wanted: number | string) => Promise<Buffer>

function receiver(socket: Socket): Receive {
  const chunks: AsyncIterator<Buffer> = socket[Symbol.asyncIterator]()
  let received = Buffer.alloc(0)
  return async (wanted) => {
    const sizeBytes = () => {
      if (typeof wanted === 'number') return wanted
      const at = received.indexOf(wanted)
      return at === -1 ? Number.POSITIVE_INFINITY : at + wanted.length
    }
    while (received.length < sizeBytes()) {
      if (received.length > MAX_MESSAGE_SIZE_BYTES) throw new Error('the bus sent too much')
      const { value, done } = await chunks.next()
      if (done) throw new Error('the bus closed the connection')
      received = Buffer.concat([received, value])
    }
    const taken = received.subarray(0, sizeBytes())
    received = received.subarray(taken.length)
    return taken
  }
}

async function authenticate(socket: Socket, receive: Receive): Promise<void> {
  const user = Buffer.from(String(process.getuid?.() ?? 0)).toString('hex')
  socket.write(`\0AUTH EXTERNAL ${user}\r\n`)
  if (!(await receive('\r\n')).toString('latin1').startsWith('OK ')) throw new Error('the bus refused this user')
  socket.write('BEGIN\r\n')
}

async function receiveMessage(receive: Receive) {
  const fixed = await receive(FIXED_HEADER_SIZE_BYTES)
  // A bus passes messages on in their sender's byte order, and all senders are on this machine: x64 or arm64.
  if (fixed.toString('latin1', 0, 1) !== 'l') throw new Error('a message in an unknown byte order')
  const bodySizeBytes = fixed.readUInt32LE(4)
  const fieldsSizeBytes = fixed.readUInt32LE(12)
  if (bodySizeBytes + fieldsSizeBytes > MAX_MESSAGE_SIZE_BYTES) throw new Error('a message that is too long')
  const fields = await receive(roundUp(fieldsSizeBytes, 8))
  const body = await receive(bodySizeBytes)
  return { type: fixed.readUInt8(1), fields: readFields(fields.subarray(0, fieldsSizeBytes)), body }
}

/** A body of strings or object paths, signature `s` or `o` each. */
export function encodeStrings(...texts: string[]): Buffer {
  return texts.reduce((body, text) => {
    const bytes = Buffer.from(`${text}\0`)
    return Buffer.concat([pad(body, 4), uint32(bytes.length - 1), bytes])
  }, Buffer.alloc(0))
}

/** Reads a body of signature `s` or `o`. Throws RangeError for one that is too short. */
export function decodeString(body: Buffer): string {
  return body.toString('utf8', 4, 4 + body.readUInt32LE(0))
}

/** Reads a body of signature `v` that holds a boolean; `undefined` for any other. */
export function decodeBooleanVariant(body: Buffer): boolean | undefined {
  return body.toString('latin1', 0, 3) === '\x01b\0' && body.length === 8 ? body.readUInt32LE(4) === 1 : undefined
}

function encodeCall(call: DbusCall, serial: number): Buffer {
  const texts: [number, 'o' | 's', string][] = [
    [FIELD.path, 'o', call.path],
    [FIELD.interface, 's', call.interface],
    [FIELD.member, 's', call.member],
    [FIELD.destination, 's', call.destination],
  ]
  let fields = texts.reduce(
    (encoded, [code, type, text]) =>
      Buffer.concat([pad(encoded, 8), Buffer.from([code, 1, type.charCodeAt(0), 0]), encodeStrings(text)]),
    Buffer.alloc(0),
  )
  if (call.signature !== '') {
    const signature = Buffer.from(`${String.fromCharCode(call.signature.length)}${call.signature}\0`, 'latin1')
    fields = Buffer.concat([pad(fields, 8), Buffer.from([FIELD.signature, 1, 'g'.charCodeAt(0), 0]), signature])
  }
  const start = Buffer.from(['l'.charCodeAt(0), METHOD_CALL, 0, 1])
  const fixed = Buffer.concat([start, uint32(call.body.length), uint32(serial), uint32(fields.length)])
  return Buffer.concat([pad(Buffer.concat([fixed, fields]), 8), call.body])
}

/** Header fields, `a(yv)`: only those of types `s`, `o`, `g` and `u`, which are all that the specification knows. */
function readFields(encoded: Buffer): Map<number, string | number> {
  const fields = new Map<number, string | number>()
  for (let at = 0; at < encoded.length; at = roundUp(at, 8)) {
    const [code = 0, , type = 0] = encoded.subarray(at, at + 4)
    at += 4
    if (type === 'g'.charCodeAt(0)) {
      at += encoded.readUInt8(at) + 2
      continue
    }
    const number = encoded.readUInt32LE(at)
    at += 4
    if (type === 'u'.charCodeAt(0)) {
      fields.set(code, number)
    } else {
      fields.set(code, encoded.toString('utf8', at, at + number))
      at += number + 1
    }
  }
  return fields
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function pad(bytes: Buffer, multiple: number): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(roundUp(bytes.length, multiple) - bytes.length)])
}

function roundUp(size: number, multiple: number): number {
  return Math.ceil(size / multiple) * multiple
}
