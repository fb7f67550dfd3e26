import type { ServerResponse } from 'node:http'
import type { Connection, Receiver } from './connection.ts'
import { type Head, parseHead } from './head.ts'
import { isSmall, type Slab, writtenFrom } from './slab.ts'

const MAX_HEAD_BYTES = 65_536
const NOTHING = Buffer.alloc(0)
/** A body that nobody wants is read to its end up to here, so that the connection can be used again. */
const MAX_DISCARDED_BYTES = 16_384

export type Streamed = { bytes: number; complete: boolean; brokenBy: 'registry' | 'caller' | undefined }

/** `refused`: this is not a plain answer. `lost`: the connection ended before there was one. */
export type NoHead = 'refused' | 'lost'

type Range = { slab: Slab; from: number; to: number }

/** Told once: `free` if the connection can carry another request. */
type Release = (outcome: 'free' | 'dead') => void

/**
 * One answer on its way: first its head, then, held until somebody wants it, its body. After a pause a TLS socket still hands over
 * what it has decrypted, so bytes are taken at any time and kept by reference.
 */
export class LaneAnswer implements Receiver {
  readonly #connection: Connection
  readonly #method: 'GET' | 'HEAD'
  readonly #onHead: (head: Head | NoHead) => void
  readonly #release: Release
  #head: Head | undefined
  /** A copy of what came of a head that is not whole yet; it may end one slab and begin another. */
  #headSoFar: Buffer = NOTHING
  #missing = 0
  #ranges: Range[] = []
  #response: ServerResponse | undefined
  #flushing: NodeJS.Immediate | undefined
  #turn: NodeJS.Immediate | undefined
  #mode: 'head' | 'held' | 'streaming' | 'discarding' | 'over' = 'head'
  #isBlocked = false
  #onBroken: (() => void) | undefined
  #onPiece: ((piece: Buffer) => void) | undefined
  #idle: NodeJS.Timeout | undefined

  /** `onHead` gets the head, or why there is none. */
  constructor(
    connection: Connection,
    method: 'GET' | 'HEAD',
    callbacks: { onHead: (head: Head | NoHead) => void; release: Release },
  ) {
    this.#connection = connection
    this.#method = method
    this.#onHead = callbacks.onHead
    this.#release = callbacks.release
  }

  /**
   * Sends the body to the caller and ends his answer; `response` has its head already. A body that the registry cuts resets the
   * caller, a caller that leaves ends the registry's connection. Never throws. `onPiece` must copy what it keeps.
   */
  stream(response: ServerResponse, idleTimeoutMs: number, onPiece?: (piece: Buffer) => void): Promise<Streamed> {
    this.#onPiece = onPiece
    const { promise, resolve } = Promise.withResolvers<Streamed>()
    const expected = this.#head?.bodyBytes ?? 0
    const settle = (complete: boolean, brokenBy: Streamed['brokenBy']) => {
      clearTimeout(this.#idle)
      resolve({ bytes: complete ? expected : expected - this.#missing, complete, brokenBy })
    }
    if (response.destroyed) {
      settle(false, 'caller')
      this.abandon()
      return promise
    }
    this.#response = response
    response.once('finish', () => settle(true, undefined))
    response.once('close', () => {
      if (response.writableFinished) return
      settle(false, 'caller')
      this.abandon()
    })
    if (this.#mode === 'over') {
      // It ended while it was held: everything is here, or it was cut.
      if (this.#missing > 0) {
        settle(false, 'registry')
        response.destroy()
      } else this.#flush()
      return promise
    }
    this.#mode = 'streaming'
    this.#onBroken = () => {
      settle(false, 'registry')
      response.destroy()
    }
    // A caller that reads slowly pauses the registry's socket; that silence is not the registry's.
    this.#idle = setTimeout(() => (this.#isBlocked ? this.#idle?.refresh() : this.#break()), idleTimeoutMs)
    this.#flush()
    if (!this.#isBlocked && this.#missing > 0) this.#connection.resume()
    return promise
  }

  /** Nobody wants the body. */
  discard(): void {
    this.#dropRanges()
    if (this.#mode !== 'held') return
    if (this.#missing > MAX_DISCARDED_BYTES) this.abandon()
    else {
      this.#mode = 'discarding'
      this.#connection.resume()
    }
  }

  /** Ends it where it stands. */
  abandon(): void {
    clearImmediate(this.#flushing)
    this.#dropRanges()
    this.#finish('dead')
  }

  take(slab: Slab, from: number): boolean {
    this.#idle?.refresh()
    if (this.#mode === 'head') return this.#takeHead(slab, from)
    return this.#takeBody(slab, from)
  }

  ended(): void {
    if (this.#mode === 'head') this.#miss('lost')
    else this.#break()
  }

  #takeHead(slab: Slab, from: number): boolean {
    const before = this.#headSoFar.length
    const arrived = slab.bytes.subarray(from, slab.used)
    const bytes = before === 0 ? arrived : Buffer.concat([this.#headSoFar, arrived])
    const end = bytes.indexOf('\r\n\r\n', Math.max(0, before - 3), 'latin1')
    if (end === -1) {
      if (bytes.length > MAX_HEAD_BYTES) return this.#miss('refused')
      this.#headSoFar = Buffer.from(bytes)
      return true
    }
    const head = parseHead(bytes.subarray(0, end), this.#method)
    if (head === undefined) return this.#miss('refused')
    this.#head = head
    this.#missing = head.bodyBytes
    this.#mode = 'held'
    const goesOn = this.#takeBody(slab, from + end + 4 - before)
    this.#onHead(head)
    return goesOn
  }

  #takeBody(slab: Slab, from: number): boolean {
    const size = Math.min(slab.used - from, this.#missing)
    const isExcess = size < slab.used - from
    this.#missing -= size
    if (size > 0 && this.#mode !== 'discarding') this.#keep(slab, from, from + size)
    if (this.#missing === 0) {
      const streaming = this.#mode === 'streaming'
      this.#finish(isExcess || this.#head?.keepAlive !== true ? 'dead' : 'free')
      if (streaming) this.#flush()
      return true
    }
    if (this.#mode === 'held') return false
    if (this.#mode === 'streaming') {
      if (slab.used === slab.bytes.length) this.#flush()
      else this.#flushing ??= setImmediate(() => this.#flush())
      if (isSmall(slab)) return this.#letOthersIn()
    }
    return !this.#isBlocked
  }

  /**
   * libuv reads up to 2 MB of one socket before it looks at the next; among many streams others would wait for seconds for their first byte.
   * A stream that must be content with little reads on only when its caller has taken all: node would let another 64 KiB gather first.
   */
  #letOthersIn(): false {
    this.#turn ??= setImmediate(() => {
      this.#turn = undefined
      if (this.#mode !== 'streaming' || this.#isBlocked) return
      if ((this.#response?.writableLength ?? 0) > 0) this.#isBlocked = true
      else this.#connection.resume()
    })
    return false
  }

  #keep(slab: Slab, from: number, to: number): void {
    const last = this.#ranges.at(-1)
    if (last !== undefined && last.slab === slab && last.to === from) {
      last.to = to
      return
    }
    slab.writing += 1
    this.#ranges.push({ slab, from, to })
  }

  #flush(): void {
    clearImmediate(this.#flushing)
    this.#flushing = undefined
    const response = this.#response
    if (response === undefined || response.destroyed) return
    const ranges = this.#ranges
    this.#ranges = []
    let isRoom = true
    for (const { slab, from, to } of ranges) {
      const piece = slab.bytes.subarray(from, to)
      this.#onPiece?.(piece)
      isRoom = response.write(piece, () => this.#wrote(slab, response))
    }
    if (this.#missing === 0) response.end()
    else if (!isRoom && !this.#isBlocked) this.#waitForRoom()
  }

  #waitForRoom(): void {
    this.#isBlocked = true
    this.#connection.pause()
  }

  #wrote(slab: Slab, response: ServerResponse): void {
    writtenFrom(slab)
    if (!this.#isBlocked || response.writableLength > 0) return
    this.#isBlocked = false
    this.#idle?.refresh()
    if (this.#mode === 'streaming') this.#connection.resume()
  }

  #dropRanges(): void {
    for (const { slab } of this.#ranges) writtenFrom(slab)
    this.#ranges = []
  }

  /** The body can no longer come to its end. */
  #break(): void {
    if (this.#mode === 'over') return
    this.#finish('dead')
    this.#onBroken?.()
  }

  #miss(why: NoHead): false {
    this.#finish('dead')
    this.#onHead(why)
    return false
  }

  #finish(outcome: 'free' | 'dead'): void {
    if (this.#mode === 'over') return
    this.#mode = 'over'
    this.#release(outcome)
  }
}
