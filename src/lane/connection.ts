import { once } from 'node:events'
import { connect as connectTcp, type LookupFunction, type OnReadOpts, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { RegcreddError } from '../errors.ts'
import { loseSlab, retireSlab, type Slab, takeSlab } from './slab.ts'

/** Who gets the bytes that arrive. `take` says whether more may come; the bytes lie in the slab from `from` to `slab.used`. */
export type Receiver = {
  take(slab: Slab, from: number): boolean
  /** The connection has ended, for whatever reason. */
  ended(error: Error | undefined): void
}

export type Place = {
  host: string
  port: number
  /** Asked for each connection; undefined for plain HTTP. */
  tls: (() => ConnectionOptions) | undefined
  connectTimeoutMs: number
  /** For tests: another DNS. */
  lookup?: LookupFunction
}

/** RFC 8305 § 5: how long one address is waited for before the next is tried beside it. */
const NEXT_ADDRESS_AFTER_MS = 250

/**
 * One connection to a registry. Its bytes go straight into slabs (`onread`), without a stream and an object for each piece, which
 * is what makes the lane faster than node:http.
 */
export class Connection {
  readonly openedAtMs = performance.now()
  /** How many requests it has carried. */
  uses = 0
  readonly #socket: Socket
  #slab: Slab = takeSlab()
  #receiver: Receiver | undefined

  private constructor(socket: (onread: OnReadOpts) => Socket) {
    this.#socket = socket({ buffer: () => this.#room(), callback: (size: number) => this.#arrived(size) })
    this.#socket.on('error', (error) => this.#over(error))
    this.#socket.on('end', () => this.#over(undefined))
    this.#socket.on('close', () => this.#over(undefined))
    this.#socket.setNoDelay(true)
  }

  /**
   * Connects, with TLS verified where `tls` is given.
   * @throws what the system or TLS says; UPSTREAM_TIMEOUT
   */
  static async open({ host, port, tls, connectTimeoutMs, lookup }: Place): Promise<Connection> {
    const families = {
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_AFTER_MS,
      ...(lookup && { lookup }),
    }
    const connection = new Connection((onread) =>
      tls === undefined
        ? connectTcp({ host, port, ...families, onread })
        : connectTls({ host, port, ...families, ...tls(), onread } as ConnectionOptions),
    )
    const socket = connection.#socket
    const timer = setTimeout(() => {
      socket.destroy(new RegcreddError('UPSTREAM_TIMEOUT', 'the connection did not stand in time'))
    }, connectTimeoutMs)
    try {
      await once(socket, tls === undefined ? 'connect' : 'secureConnect')
      return connection
    } catch (error) {
      socket.destroy()
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed && this.#socket.readable && this.#socket.writable
  }

  /** Sends a request's bytes; whatever comes then goes to `receiver`. */
  send(bytes: string, receiver: Receiver): void {
    this.uses += 1
    this.#receiver = receiver
    this.#socket.write(bytes, 'latin1')
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Nobody waits for bytes any more; any that come end the connection. */
  rest(): void {
    this.#receiver = undefined
    this.#socket.resume()
  }

  destroy(): void {
    this.#receiver = undefined
    this.#socket.destroy()
  }

  #room(): Buffer {
    // One that has ended reads no more; should it, its bytes go nowhere.
    if (this.#slab.state === 'lost') return Buffer.alloc(this.#slab.bytes.length)
    if (this.#slab.used === this.#slab.bytes.length) {
      retireSlab(this.#slab)
      this.#slab = takeSlab()
    }
    return this.#slab.bytes.subarray(this.#slab.used)
  }

  #arrived(size: number): boolean {
    const slab = this.#slab
    const from = slab.used
    slab.used += size
    if (this.#receiver !== undefined) return this.#receiver.take(slab, from)
    // Bytes that nobody asked for would be taken for the next answer.
    this.#socket.destroy()
    return false
  }

  #over(error: Error | undefined): void {
    loseSlab(this.#slab)
    const receiver = this.#receiver
    this.#receiver = undefined
    this.#socket.destroy()
    receiver?.ended(error)
  }
}
