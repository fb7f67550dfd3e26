import { timingSafeEqual } from 'node:crypto'
import { inspect } from 'node:util'

const REDACTED = '[redacted]'

/** A password, token or key. However it is printed, logged or serialised it reads `[redacted]`; only `reveal()` gives the value, and only the files that ARCHITECTURE.md lists may call it. */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  reveal(): string {
    return this.#value
  }

  /** Compares without telling by its duration where the two differ. */
  equals(other: Secret): boolean {
    const mine = Buffer.from(this.#value)
    const theirs = Buffer.from(other.#value)
    return mine.length === theirs.length && timingSafeEqual(mine, theirs)
  }

  toString(): string {
    return REDACTED
  }

  toJSON(): string {
    return REDACTED
  }

  [inspect.custom](): string {
    return REDACTED
  }
}
