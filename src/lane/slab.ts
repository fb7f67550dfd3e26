/** What OpenSSL writes into and what is written to the caller in one piece; 64 to 256 KiB measured alike. */
export const SLAB_BYTES = 131_072
/** One record of TLS. A caller that reads slowly holds two or three of them: a thousand such callers would hold a quarter of a gigabyte by large ones. */
export const SMALL_SLAB_BYTES = 16_384
/** So many streams are served at full speed; those beyond share what there is. */
export const MAX_LARGE = 64
const MAX_FREE = 64

/** Memory for bytes on their way. It goes back to the pile when it is full and all that was written from it has left. */
export type Slab = { bytes: Buffer; used: number; writing: number; state: 'read into' | 'retired' | 'lost' }

const free = { large: [] as Buffer[], small: [] as Buffer[] }
let largeOut = 0

export function takeSlab(): Slab {
  return { bytes: largeOut < MAX_LARGE ? takeLarge() : takeSmall(), used: 0, writing: 0, state: 'read into' }
}

/** No more will be read into it. */
export function retireSlab(slab: Slab): void {
  slab.state = 'retired'
  giveBack(slab)
}

/** Its connection has ended. It never goes to another one: what OpenSSL might still write into it would be that one's bytes. */
export function loseSlab(slab: Slab): void {
  if (slab.state !== 'read into') return
  slab.state = 'lost'
  if (isLarge(slab)) largeOut -= 1
}

/** One write from it has ended. */
export function writtenFrom(slab: Slab): void {
  slab.writing -= 1
  giveBack(slab)
}

function takeLarge(): Buffer {
  largeOut += 1
  return free.large.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES)
}

function takeSmall(): Buffer {
  return free.small.pop() ?? Buffer.allocUnsafeSlow(SMALL_SLAB_BYTES)
}

function giveBack(slab: Slab): void {
  if (slab.state !== 'retired' || slab.writing > 0) return
  if (isLarge(slab)) largeOut -= 1
  const pile = isLarge(slab) ? free.large : free.small
  if (pile.length < MAX_FREE) pile.push(slab.bytes)
}

/** There are so many streams that each must be content with little. */
export function isSmall(slab: Slab): boolean {
  return !isLarge(slab)
}

function isLarge({ bytes }: Slab): boolean {
  return bytes.length === SLAB_BYTES
}
